"""A prior that is tuned in two phases of classes: which jobs need which, and their bytes."""

import os
import shutil

import pytest
import torch
from conftest import copy_of, kill, start, wait_for

from lgd_core.base.tensors import load_tensors

MINIMAX = "results/digits/minimax"
PHASES = [f"{MINIMAX}/tuned/{phase}of2.safetensors" for phase in range(2)]
INCREMENTS = [f"{MINIMAX}/s0/k{k}/increment.safetensors" for k in range(2)]


@pytest.fixture(scope="module")
def tuned(finished, tmp_path_factory):
    """The finished project, and two increments of minimax in two phases; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("tuned") / "project")
    project.replace(
        "tiny.yaml", "finetune: {steps: 20}", "finetune: {steps: 20, classes_per_phase: 5}"
    )
    project.make("--", *INCREMENTS)
    return project


@pytest.fixture
def changing(tuned, tmp_path):
    """A copy of the tuned project, to be changed."""
    return copy_of(tuned, tmp_path / "project")


def test_phases_differ_and_both_draw_increment_0(tuned):
    files = [load_tensors(tuned.folder / path) for path in PHASES]
    tables = [
        [t.tolist() for name, t in tensors.items() if name.startswith("rows") and "table" in name]
        for tensors, _ in files
    ]
    assert [rows[0] for rows in tables] == [[0, 1, 2, 3, 4, 10], [5, 6, 7, 8, 9, 10]], "10 is null"
    bias = "values.proj_out_2.bias"
    assert not torch.equal(files[0][0][bias], files[1][0][bias])
    _, metadata = load_tensors(tuned.folder / INCREMENTS[0])
    labels = [known["recipe"]["labels"] for known in metadata["prior"]["phases"]]
    assert labels == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize(("shards", "needed"), [(2, ["0", "1"]), (3, ["0", "01", "1"])])
def test_shards_draw_the_same_with_the_phases_they_need(tuned, changing, shards, needed):
    increment = changing.folder / INCREMENTS[1]
    shutil.rmtree(increment.parent)
    changing.make("--config", f"shards={shards}", "--", INCREMENTS[1])
    found = []
    for shard in range(shards):
        path = increment.parent / f"candidates/{shard}of{shards}.safetensors"
        known = load_tensors(path)[1]["prior"]["phases"]
        found.append("".join(phase["phase"] for phase in known))
    assert found == needed
    one, several = load_tensors(tuned.folder / INCREMENTS[1])[0], load_tensors(increment)[0]
    for name, tensor in one.items():
        assert tensor.numpy().tobytes() == several[name].numpy().tobytes(), f"{name}: bit for bit"


def test_what_an_edit_of_tuning_repeats(changing):
    drawn = {
        ("seed_increment", "minimax", ""): 1,
        ("sample_candidates", "minimax", "1"): 1,
        ("select_increment", "minimax", "1"): 1,
    }
    assert "Nothing to be done" in changing.make("-n", "--", *INCREMENTS)
    changing.replace("tiny.yaml", "classes_per_phase: 5", "classes_per_phase: 9")
    assert "Nothing to be done" in changing.make("-n", "--", *INCREMENTS), "two phases as well"
    changing.replace("tiny.yaml", "steps: 20,", "steps: 21,")
    assert changing.planned("--", *INCREMENTS) == drawn | {("finetune_prior", "minimax", ""): 2}
    changing.replace("tiny.yaml", "classes_per_phase: 9", "classes_per_phase: null")
    assert changing.planned("--", *INCREMENTS) == drawn | {("finetune_prior", "minimax", ""): 1}


def test_a_damaged_phase_is_named(changing):
    path = changing.folder / PHASES[1]
    before = path.stat()
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (changing.folder / INCREMENTS[0]).unlink()
    done = changing.run("--", INCREMENTS[0])
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert f"{PHASES[1]}: found contents that do not match their digest" in errors[0]


def test_killed_in_a_phase(tuned, changing):
    """The phase that has ended is kept, the other goes on where it was."""
    (changing.folder / PHASES[1]).unlink()
    process = start(changing, "--", PHASES[1])
    wait_for(changing, "results/.resume/finetune_prior,*phase=1,*/*/finetune.pt", process)
    kill(process)
    assert not (changing.folder / PHASES[1]).exists()
    changing.make("--unlock")
    assert changing.planned("--", *PHASES) == {("finetune_prior", "minimax", ""): 1}
    changing.make("--", *PHASES)
    for path in PHASES:
        assert (changing.folder / path).read_bytes() == (tuned.folder / path).read_bytes()
