"""Sets leave in every form, come back as methods, and give the same accuracies to the bit."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, copy_of, write_digits
from PIL import Image
from test_bad_input import refusal

FORMS = ("ddranking", "huggingface", "imagefolder", "tensors", "webdataset")
OUT = "results/digits_ipc20/export/lgd"
RUN = "k1/evaluate/hard/ConvNet-3-w32/r1.json"
SETS = ", ".join(f"{form}: {OUT}/{form}" for form in FORMS)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Project:
    """A copy of the finished project with a set in every form; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("exported") / "project")
    project.make("--", *(f"{OUT}/{form}" for form in FORMS))
    return project


def test_sets_that_come_back_give_the_same_accuracies_to_the_bit(exported):
    runs = [f"results/digits/external:{form}/s0/{RUN}" for form in FORMS]
    exported.make("--config", f"external={{{SETS}}}", "--", *runs)
    own = json.loads((exported.folder / "results/digits/lgd/s0" / RUN).read_text())
    for run in runs:
        found = json.loads((exported.folder / run).read_text())
        accuracies = {key for key in own if "top1" in key}
        assert {"top1", "best_top1", "validation_top1"} <= accuracies
        assert {key: found[key] for key in accuracies} == {key: own[key] for key in accuracies}


def test_nothing_is_made_again_and_a_moved_set_is_not_read_again(exported, tmp_path):
    target = f"{OUT}/huggingface"
    assert not exported.planned("--", target)
    project = copy_of(exported, tmp_path / "project")
    name = ("--config", f"external={{mine: {target}}}")
    project.make(*name, "--", "results/external/mine/set.json")
    shutil.move(project.folder / target, project.folder / "elsewhere")
    moved = ("--config", "external={mine: elsewhere}")
    assert not project.planned(*moved, "--", "results/external/mine/set.json")
    shutil.copy(project.folder / "elsewhere/data/k000-00000-of-00001.parquet", tmp_path / "one")
    shutil.copy(tmp_path / "one", project.folder / "elsewhere/data/k002-00000-of-00001.parquet")
    assert project.planned(*moved, "--", "results/external/mine/set.json")


def test_provenance_says_what_made_the_set(exported):
    said = json.loads((exported.folder / OUT / "tensors/provenance.json").read_text())
    assert said["method"] == "lgd"
    assert said["seed"] == 0
    assert [row["n"] for row in said["accuracies"]] == [2]
    assert said["command"] == f"snakemake --cores 1 -- {OUT}/tensors"
    assert len(said["increments"]) == 2
    assert said["licences"] == {"data": "cc-by-4.0", "prior": None}
    assert {"train_images.npy", "train_labels.npy"} <= set(said["data_files"])
    assert said["versions"]["torch"]


def test_a_set_of_another_program_stands_in_a_table_and_leaves(exported, tmp_path):
    """Numbered folders of JPEG, as RDED writes them: a row, a page and an export."""
    project = copy_of(exported, tmp_path / "project")
    write_digits(project.folder / "digits")
    for file in sorted((project.folder / "digits").rglob("*.png")):
        folder = project.folder / "digits" / f"{int(file.parent.name):05d}"
        folder.mkdir(exist_ok=True)
        Image.open(file).save(folder / f"{file.stem}.jpg", quality=90)
        file.unlink()
    for folder in (project.folder / "digits").glob("?"):
        folder.rmdir()
    config = ("--config", "external={theirs: {folder: digits, increment: 2}}", "ipc=[4]")
    config += ("methods=['external:theirs']",)
    table, out = "results/digits_ipc4/table.csv", "results/digits_ipc4/export/external:theirs"
    project.make(*config, "--", table, f"{out}/imagefolder")
    rows = pd.read_csv(project.folder / table).set_index("method")
    assert rows.loc["external:theirs", "n"] == 2
    found = Path(project.folder / out / "imagefolder")
    assert len(list(found.glob("*/*.png"))) == 40
    assert "4 images per class" in (found / "README.md").read_text()
    # As the seed of a method: its increment 0 is the set's.
    config += (
        "overrides={methods: {dit: {seed: {source: 'external:theirs'}, ipc_per_increment: 2}}}",
    )
    seed = "results/digits/dit/s0/k0/increment.safetensors"
    planned = project.planned(*config, "--", seed)
    assert ("seed_increment", "dit", "") in planned
    project.make(*config, "--", seed)
    own = "results/digits/external:theirs/s0/k0/increment.safetensors"
    assert (project.folder / seed).read_bytes() == (project.folder / own).read_bytes()


@pytest.mark.parametrize(
    ("external", "methods", "part"),
    [
        ("{mine: nowhere}", "['external:mine']", "external.mine.folder: found no folder nowhere"),
        ("{mine: tiny.yaml}", "['external:mine']", "tiny.yaml: found a file of another kind"),
        ("{}", "['external:mine']", "unknown method 'external:mine'"),
        (
            "{mine: {folder: ., dataset: glyphs}}",
            "['external:mine']",
            "found a set of data set 'glyphs', expected one of 'digits'",
        ),
    ],
)
def test_what_is_wrong_with_a_set_is_said_before_any_job(fresh, external, methods, part):
    table = "results/digits_ipc20/table.csv"
    words = ("--config", f"external={external}", f"methods={methods}", "ipc=[20]", "--", table)
    assert part in refusal(fresh, "-n", *words)


def test_a_set_in_the_hub_s_cache_is_read_without_a_network(exported, tmp_path):
    """The cache as the hub's library keeps it: a revision, and a folder of its files."""
    kept = tmp_path / "hub/datasets--owner--digits"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("abc")
    shutil.copytree(exported.folder / OUT / "huggingface", kept / "snapshots/abc")
    project = copy_of(exported, tmp_path / "project")
    name = ("--config", "external={kept: owner/digits}", "--", "results/external/kept/set.json")
    # In a process of its own: the hub's library reads these when it is imported.
    cold = {"HF_HUB_CACHE": str(kept.parent), "HF_HUB_OFFLINE": "1", "LGD_COLD_TESTS": "1"}
    done = project.run(*name, env=cold)
    assert done.returncode == 0, done.stderr + project.logs()
    found = json.loads((project.folder / "results/external/kept/set.json").read_text())
    assert (found["form"], found["images"]) == ("huggingface", 200)
    (kept / "refs/main").unlink()
    missing = project.run("-F", *name, env=cold)
    assert missing.returncode
    assert "kept.folder: found no folder 'owner/digits', and data set" in missing.stderr
