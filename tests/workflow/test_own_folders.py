"""Folders of one's own images: what is in them decides what runs again, never where they lie."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import Project, new_project, write_digits
from PIL import Image
from test_bad_input import refusal

ARRAYS = "results/mine/data/prepared.json"
SET = "results/external/theirs/set.json"
THEIRS = ("--config", "external={theirs: {folder: digits, increment: 2}}")
RECIPE = """
classes: [cat, dog]
image: {size: 16, channels: 1}
normalise: {mean: [0.5], std: [0.5]}
source: {kind: folder}
reference: {architecture: ConvNet-2-w8, epochs: 1, evaluations: 1}
evaluation: {students: [ConvNet-2-w8], epochs: {10: 1}, evaluations: 1}
redundancy: {architecture: ConvNet-2-w8, epochs: 1}
prior:
  source: train
  train:
    autoencoder: {widths: [8], norm_groups: 4, latent_channels: 4, steps: 1, batch: 4}
    transformer: {heads: 2, head_dim: 8, layers: 1, patch_size: 1, steps: 1, batch: 4}
influence: {surrogate: {architecture: ConvNet-2-w8, epochs: 1}}
recipes:
  dit: {learner: {architecture: ConvNet-2-w8}}
  random: {learner: {architecture: ConvNet-2-w8}}
"""


@pytest.fixture(autouse=True)
def data(monkeypatch):
    monkeypatch.setenv("LGD_DATA", "pets")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A project that has read a data set and a set from elsewhere; not to be changed."""
    project = new_project(tmp_path_factory.mktemp("own") / "project")
    (project.folder / "config/datasets/mine.yaml").write_text(RECIPE)
    for part, count in (("train", 6), ("test", 2)):
        for name, shade in (("cat", 40), ("dog", 200)):
            folder = project.folder / "pets" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("L", (20, 18), shade + i).save(folder / f"{i}.png")
    (project.folder / "pets/train/cat/6.heic").touch()
    write_digits(project.folder / "digits")
    done = project.run(*THEIRS, "--", ARRAYS, SET, env={"LGD_DATA": "pets"})
    project.output = done.stdout + done.stderr
    assert done.returncode == 0, project.output + project.logs()
    return project


@pytest.fixture
def own(read, tmp_path):
    """A copy of the project, to be changed."""
    shutil.copytree(read.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project")


def planned(project: Project, *words: str, files: tuple[str, ...] = (ARRAYS, SET)) -> set[str]:
    options = words or THEIRS
    return {rule for rule, *_ in project.planned(*options, "--", *files)}


def test_files_that_are_left_out_are_noted_on_the_terminal(read):
    assert "note: prepare_dataset: left out 1 of .heic (train/cat/6.heic)" in read.output


def test_a_moved_and_touched_folder_repeats_nothing(own, monkeypatch):
    (own.folder / "pets").rename(own.folder / "elsewhere")
    (own.folder / "digits").rename(own.folder / "numbers")
    for path in (own.folder / "elsewhere").rglob("*.png"):
        os.utime(path)
    os.utime(own.folder / "numbers/7/3.png")
    monkeypatch.setenv("LGD_DATA", str(own.folder / "elsewhere"))
    assert not planned(own, "--config", "external={theirs: {folder: numbers, increment: 2}}")


def test_folders_that_are_gone_are_missed_only_where_they_must_be_read(own, monkeypatch):
    for name in ("pets", "digits"):
        shutil.rmtree(own.folder / name)
    assert not planned(own)
    monkeypatch.delenv("LGD_DATA")
    assert not planned(own)
    held = "overrides={datasets: {mine: {source: {validation_fraction: 0.3}}}}"
    done = own.run("-n", *THEIRS, held, "--", ARRAYS)
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: config/datasets/mine.yaml: source.folder: found none and LGD_DATA unset, expected "
        "class folders under train/ and test/ or val/"
    ]


@pytest.mark.parametrize("change", ["added", "edited", "removed"])
def test_another_image_is_read(own, change):
    for name, more in (("pets/train/cat/1.png", "7.png"), ("digits/7/1.png", "4.png")):
        path = own.folder / name
        if change == "removed":
            path.unlink()
        elif change == "added":
            shutil.copy2(path, path.with_name(more))
        else:
            Image.new("L", (20, 18), 77).save(path)
    assert planned(own) == {"fetch_dataset", "prepare_dataset", "read_external"}


def test_links_in_circles_are_refused_before_any_job(own):
    (own.folder / "pets/train/cat/loop").symlink_to("..")
    shutil.rmtree(own.folder / "results")
    line = refusal(own, "-n", "--", ARRAYS)
    assert "LGD_DATA: pets/train/cat/loop: found the same folder as" in line


def test_a_broken_manifest_is_refused_before_any_job(own):
    (own.folder / "digits/manifest.csv").write_bytes(b"file,increment\n\xff,0\n")
    shutil.rmtree(own.folder / "results")
    line = refusal(own, "-n", *THEIRS, "--", SET)
    assert "digits/manifest.csv: found no table" in line
    assert "expected a table in UTF-8" in line


def test_a_seed_s_folder_may_lie_anywhere(own):
    """The seed's own images count, not those after them."""
    seed = "results/mine/picked/s0/k0/increment.safetensors"
    (own.folder / "config/methods/picked.yaml").write_text(
        "extends: dit\nipc_per_increment: 2\nseed: {source: folder, folder: seeds}\n"
    )
    seeds = Path(shutil.copytree(own.folder / "pets/train", own.folder / "seeds"))
    own.make("--", seed)
    own.replace("config/methods/picked.yaml", "seeds", "elsewhere")
    seeds = seeds.rename(own.folder / "elsewhere")
    os.utime(seeds / "cat/0.png")
    shutil.copy(seeds / "cat/0.png", seeds / "cat/99.png")
    assert not own.planned("--", seed)
    shutil.copy(seeds / "cat/4.png", seeds / "cat/0.png")
    assert set(own.planned("--", seed)) == {("seed_increment", "picked", "")}
    shutil.rmtree(seeds)
    assert not own.planned("--", seed), "what it was made of is gone, but it is made"
