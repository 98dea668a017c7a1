"""ImageNet-1K's table on a miniature: 40 of its classes, images that stay files, a teacher."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project
from miniature import build_1k, class_paths, copy_product

from lgd_core.config.classes import read_classes

GOLDEN = Path(__file__).parents[1] / "golden" / "imagenet1k_jobs.json"
TARGET = "results/imagenet1k_ipc50/table.csv"
MINIATURE = ("--configfile", "config/test/imagenet1k_mini.yaml")
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
        (method, protocol) for method in METHODS for protocol in ("rded", "hard")
    ]


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
    known = "{source: {complete: false}, reference: {weights: teacher.pth}}"
    return Project(
        folder, ("--cores", "1", "--config", f"overrides={{datasets: {{imagenet1k: {known}}}}}")
    )


@pytest.mark.parametrize("shards", [1, 64])
def test_the_command_plans_the_known_jobs(real: Project, shards: int) -> None:
    planned = real.planned(f"shards={shards}", "--", TARGET)
    jobs = Counter()
    for (rule, _, _), number in planned.items():
        jobs[rule] += number
    assert jobs == json.loads(GOLDEN.read_text())[str(shards)]


def test_a_root_with_999_classes_and_more_shards_than_classes_are_one_line(real: Project) -> None:
    gone = real.folder / "miniature1k/imagenet/train/n01440764"
    gone.rename(real.folder / "elsewhere")
    missing = error_of(real.run("-n", "--", TARGET))
    (real.folder / "elsewhere").rename(gone)
    shards = error_of(real.run("-n", "shards=1001", "--", TARGET))
    assert "train: found 999 class folders, expected 1000 (missing: n01440764;" in missing
    assert "shards: found 1001, expected at most 1000" in shards


def error_of(done: subprocess.CompletedProcess) -> str:
    """Return the one line of an error."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    return line
