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
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self, TextIO

import pytest
from filelock import FileLock
from miniature import copy_product
from warm import Warm

TINY = Path(__file__).parent / "workflow" / "tiny.yaml"
ONE_CORE = ("--cores", "1", "--configfile", "tiny.yaml")


@dataclass
class Project:
    """A copy of the product in a folder of its own; ``env`` is added to the environment."""

    folder: Path
    options: tuple[str, ...] = ONE_CORE
    env: dict[str, str] = field(default_factory=dict[str, str])

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *self.options, *words]

    def run(self, *words: str, env: dict | None = None) -> subprocess.CompletedProcess:
        """Call Snakemake here and return what it printed."""
        known = os.environ | self.env | (env or {})
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

    def copy(self, folder: Path) -> Self:
        """Copy the project with its results and Snakemake's records of them."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return type(self)(folder)


class ForkedProject(Project):
    """A project whose jobs are forks of one process, unless LGD_COLD_TESTS is set."""

    def run(self, *words: str, env: dict | None = None) -> subprocess.CompletedProcess:
        known = os.environ | self.env | (env or {})
        if known.get("LGD_COLD_TESTS"):
            return super().run(*words, env=env)
        return warm().snakemake([*self.options, *words], self.folder, known)


@cache
def warm() -> Warm:
    """Return the process whose forks run Snakemake, one for all tests of a worker."""
    return Warm()


def close_warm() -> None:
    """End that process, if a test has used it."""
    if warm.cache_info().currsize:
        warm().close()


def rules_on_gpu(root: Path) -> set[str]:
    """Return the names of the rules of a copy of the product that ask for a GPU."""
    text = "".join(path.read_text() for path in (root / "rules").glob("*.smk"))
    blocks = re.split(r"^rule ", text, flags=re.M)[1:]
    return {block.split(":")[0] for block in blocks if "gpu=GPU" in block}


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made by the first worker of pytest-xdist, while others wait."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, mark = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not mark.exists():
            make(folder)
            mark.touch()
    return folder


def _line(block: str, key: str) -> str:
    found = re.search(rf"^\s+{key}: (.*)$", block, flags=re.MULTILINE)
    return found[1] if found else ""


def put_product(folder: Path, run: Path = TINY) -> Path:
    """Copy the product into an empty folder, and the configuration of a run as tiny.yaml."""
    copy_product(folder)
    shutil.copy2(run, folder / "tiny.yaml")
    return folder


def start(
    project: Project, *words: str, stderr: int | TextIO = subprocess.DEVNULL
) -> subprocess.Popen:
    """Call Snakemake as a user does, in processes that can be killed together."""
    return subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=os.environ | project.env,
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
