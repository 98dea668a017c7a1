"""ImageNet-1K's table on a miniature: 40 of its classes, images that stay files, a teacher."""

import dataclasses
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Project, kill, start, wait_for
from miniature import EVERY, build_1k, class_paths, copy_product

from lgd_core.base.files import read_json
from lgd_core.base.tensors import load_tensors
from lgd_core.config.classes import read_classes

GOLDEN = Path(__file__).parents[1] / "golden" / "imagenet1k_jobs.json"
RESULTS = Path("results/imagenet1k")
TARGET = "results/imagenet1k_ipc50/table.csv"
MINIATURE = ("--configfile", "config/test/imagenet1k_mini.yaml")
# The real configuration, but for files that are empty here.
EMPTY = "{source: {complete: false}, reference: {weights: teacher.pth}}"
REAL = ("--config", f"overrides={{datasets: {{imagenet1k: {EMPTY}}}}}")
METHODS = ["random", "herding", "rded", "sre2l", "dit", "minimax", "mgd3", "igd", "lgd"]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project folder with the miniature in it."""
    folder = tmp_path_factory.mktemp("thousand") / "project"
    build_1k(folder)
    return Project(folder, ("--cores", "2", *MINIATURE))


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LGD_DATA", "miniature1k/imagenet")


def test_the_table_has_all_methods_by_two_protocols(thousand: Project) -> None:
    thousand.make("--", TARGET)
    table = pd.read_csv(thousand.folder / TARGET)
    sets = table[table["method"] != "full"]
    assert list(zip(sets["method"], sets["protocol"], strict=True)) == [
        (method, protocol) for protocol in ("rded", "hard") for method in METHODS
    ]
    assert set(sets["student"]) == {"ResNetAP-10-w8-bn"}
    assert sets["top1_mean"].between(0, 100).all()
    assert sets["paper_top1"].isna().all(), "the paper's numbers are of all of ImageNet"
    increment, stamp = load_tensors(thousand.folder / RESULTS / "lgd/s0/k4/increment.safetensors")
    assert increment["images"].shape == (400, 3, 32, 32)
    labels = stamp["drawn"]["recipe"]["prior_labels"]
    assert labels == list(range(0, 1000, EVERY)), "by wnid, not by place"
    learner = read_json(thousand.folder / RESULTS / "lgd/s0/k3/learner.json")
    assert learner["recipe"]["learner"]["protocol"] == "rded"
    phases = sorted((thousand.folder / RESULTS / "minimax/tuned").iterdir())
    assert [path.name for path in phases] == ["0of2.safetensors", "1of2.safetensors"]
    assert "Nothing to be done" in thousand.make("--", TARGET)


def test_no_training_image_is_stored_a_second_time(thousand: Project) -> None:
    data = thousand.folder / RESULTS / "data"
    index = np.load(data / "train_images.npy")
    assert index.dtype.kind == "S"
    assert len(index) == 40 * 200
    assert np.load(data / "test_images.npy").shape == (80, 3, 24, 24)


# What a stage makes, and what of its state is kept while it runs.
STAGES = {
    "encode_dataset": ("latents.npy", "latents.pt"),
    "seed_increment,*method=rded": ("rded/s0/k0/increment.safetensors", "*.pt"),
    "seed_increment,*method=sre2l": ("sre2l/s0/k0/increment.safetensors", "*.pt"),
    "finetune_prior": ("minimax/tuned/1of2.safetensors", "*.pt"),
    "train_learner": ("lgd/s0/k2/learner.safetensors", "*.pt"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_and_ends_as_if_nothing_had_happened(
    thousand: Project, tmp_path: Path, stage: str
) -> None:
    made, kept = STAGES[stage]
    project = dataclasses.replace(thousand, folder=tmp_path / "project")
    shutil.copytree(thousand.folder, project.folder, symlinks=True)
    target = project.folder / RESULTS / made
    expected = target.read_bytes()
    target.unlink()
    words = ("--config", "checkpoint_seconds=0.001", "--", str(RESULTS / made))
    process = start(project, *words)
    wait_for(project, f"results/.resume/{stage}*/**/{kept}", process)
    kill(process)
    assert not target.exists(), "nothing half-written"
    project.make("--unlock")
    project.make(*words)
    assert target.read_bytes() == expected


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the real configuration, and an empty file for each class's images."""
    folder = tmp_path_factory.mktemp("real") / "project"
    copy_product(folder)
    classes = read_classes("config/classes/imagenet1k.csv", "imagenet1k")
    for index, known in enumerate(classes):
        counts = {"train": 1, "val": 1}
        for path in class_paths(folder / "miniature1k/imagenet", known | {"index": index}, counts):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (folder / "teacher.pth").touch()
    return Project(folder, ("--cores", "1"))


@pytest.mark.parametrize("shards", [1, 64])
def test_the_command_plans_the_known_jobs(real: Project, shards: int) -> None:
    planned = real.planned(*REAL, f"shards={shards}", "--", TARGET)
    jobs = Counter()
    for (rule, _, _), number in planned.items():
        jobs[rule] += number
    assert jobs == json.loads(GOLDEN.read_text())[str(shards)]


def test_a_root_with_999_classes_and_more_shards_than_classes_are_one_line(real: Project) -> None:
    gone = real.folder / "miniature1k/imagenet/train/n01440764"
    gone.rename(real.folder / "elsewhere")
    missing = error_of(real.run("-n", *REAL, "--", TARGET))
    (real.folder / "elsewhere").rename(gone)
    shards = error_of(real.run("-n", *REAL, "shards=1001", "--", TARGET))
    assert "train: found 999 class folders, expected 1000 (missing: n01440764;" in missing
    assert "shards: found 1001, expected at most 1000" in shards


def error_of(done: subprocess.CompletedProcess) -> str:
    """Return the one line of an error."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    return line
