"""A project folder as a user has it, and Snakemake as a user calls it."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
from filelock import FileLock
from miniature import copy_product
from PIL import Image
from sklearn.datasets import load_digits
from warm import Warm

TARGETS = [
    f"results/digits_ipc20/{name}"
    for name in ("table.csv", "redundancy.png", "curve.png", "samples.png")
]
ANALYSES = [
    f"results/digits_ipc20/{name}.png"
    for name in (
        "complementarity",
        "dynamics",
        "difficulty",
        "in_distribution",
        "guidance",
        "samples/3_three",
    )
]
# Made beside the targets; apart from them, since a page depends on everything.
PAGES = tuple(f"results/digits_ipc20/{name}.html" for name in ("table", "gallery"))
# A set of our own, and one that another program has written.
EXTERNAL = (
    "--config",
    "external={own: results/digits/lgd/s0/k1/distilled, mine: {folder: mine, increment: 2}}",
)
DIAGNOSES = ("results/external/own/diagnosis.csv", "results/external/mine/duplicates.csv")


@dataclass
class Project:
    """A copy of the product in a folder of its own."""

    folder: Path
    options: tuple[str, ...] = ("--cores", "1", "--configfile", "tiny.yaml")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.options, *words]

    def run(self, *words: str, env: dict | None = None) -> subprocess.CompletedProcess:
        """Call Snakemake here and return what it printed."""
        known = os.environ | (env or {})
        if not known.get("LGD_COLD_TESTS"):
            return warm().snakemake([*self.options, *words], self.folder, known)
        return subprocess.run(
            self.command(*words), cwd=self.folder, capture_output=True, text=True, env=known
        )

    def make(self, *words: str) -> str:
        """Call Snakemake here, expect success, return both outputs."""
        done = self.run(*words)
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-6000:] + self.logs()
        return output

    def logs(self) -> str:
        """Return the ends of all logs that tell of an error."""
        texts = [path.read_text() for path in self.folder.glob("results/logs/**/*.log")]
        return "\n".join(text[-2000:] for text in texts if "rror" in text)

    def planned(self, *words: str) -> Counter:
        """Return the jobs of a dry run as (rule, method, k), with their number."""
        output = self.make("-n", *words)
        jobs: Counter = Counter()
        for block in re.split(r"\n(?=(?:local)?rule )", output)[1:]:
            name = re.match(r"(?:local)?rule (\w+)", block)[1]
            wildcards = dict(re.findall(r"(\w+)=([^,\s]+)", _line(block, "wildcards")))
            jobs[name, wildcards.get("method", ""), wildcards.get("k", "")] += 1
        return jobs

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file as a user would."""
        file = self.folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def digests(self) -> dict[str, str]:
        """Return a digest of every finished artifact but logs and timings."""
        skip = ("logs", "benchmarks", ".resume")
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.folder / "results").rglob("*"))
            if path.is_file() and not any(part in skip for part in path.parts)
        }


@cache
def warm() -> Warm:
    """The process whose forks run Snakemake, one for all tests of a worker."""
    return Warm()


def pytest_sessionfinish() -> None:
    if warm.cache_info().currsize:
        warm().close()


def _line(block: str, key: str) -> str:
    found = re.search(rf"^\s+{key}: (.*)$", block, flags=re.MULTILINE)
    return found[1] if found else ""


def new_project(folder: Path) -> Project:
    """Copy the product and the tiny configuration into an empty folder."""
    copy_product(folder)
    shutil.copy2(Path(__file__).parent / "tiny.yaml", folder / "tiny.yaml")
    return Project(folder)


def copy_of(project: Project, folder: Path) -> Project:
    """Copy a project with its results and Snakemake's records of them."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder)


@pytest.fixture
def fresh(tmp_path) -> Project:
    """A project in which nothing has been made."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project in which everything has been made, undisturbed; not to be changed.

    Made once: by the first worker of pytest-xdist that needs it, while others wait.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, mark = shared / "finished", shared / "finished.done"
    with FileLock(shared / "finished.lock"):
        if not mark.exists():
            new_project(folder).make("--", *TARGETS, *ANALYSES, *PAGES)
            mark.touch()
    return Project(folder)


def start(
    project: Project, *words: str, stderr: int | TextIO = subprocess.DEVNULL
) -> subprocess.Popen:
    """Call Snakemake as a user does, in processes that can be killed together."""
    return subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def kill(process: subprocess.Popen) -> None:
    """Kill Snakemake and its jobs at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(project: Project, pattern: str, process: subprocess.Popen) -> None:
    """Wait until a job has saved resume state, so that the kill hits it half done."""
    while process.poll() is None and not list(project.folder.glob(pattern)):
        time.sleep(0.02)
    assert process.poll() is None, f"ended before {pattern} was seen"


def write_digits(root: Path) -> None:
    """Write a folder as another program would: four digits a class, 20 x 16, one of them twice."""
    digits = load_digits()
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:4]):
            large = Image.fromarray(np.uint8(image * 15)).resize((20, 16))
            large.save(root / str(label) / f"{number}.png")
    with Image.open(root / "7" / "0.png") as image:
        image.point(lambda value: value * 0.9 + 10).save(root / "7" / "3.png")


@pytest.fixture(scope="session")
def diagnosed(finished, tmp_path_factory) -> Project:
    """A copy of the finished project with two folders diagnosed; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("diagnosed") / "project")
    write_digits(project.folder / "mine")
    project.make(*EXTERNAL, "--", *DIAGNOSES)
    return project


@pytest.fixture
def copied(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    return copy_of(finished, tmp_path / "project")
