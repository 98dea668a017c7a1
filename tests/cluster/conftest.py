"""A Slurm for all tests of a worker, and projects whose jobs it runs by profiles/slurm."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from projects import ForkedProject, Project, made_once, put_product, rules_on_gpu, start

from cluster.loopback import PARTITION, Slurm, missing, wait_until

TABLE = "results/digits_ipc20/table.csv"
K1 = "results/digits/lgd/s0/k1"
LEARNER = f"{K1}/learner.safetensors"
CANDIDATES = f"{K1}/candidates/0of1.safetensors"
# Nodes have cores for the threads of the profile, but a local run with one core has other bytes.
OPTIONS = (
    *("--profile", "profiles/slurm", "--configfile", "tiny.yaml", "--max-threads", "1"),
    *("--slurm-init-seconds-before-status-checks", "1"),
)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A running Slurm; without its programs the test is skipped."""
    if reason := missing():
        pytest.skip(reason)
    with Slurm(tmp_path_factory.mktemp("cluster") / "slurm") as running:
        yield running


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which everything was made without Slurm, on one core; not to be changed."""

    def make(folder: Path) -> None:
        put_product(folder, Path(__file__).parent / "small.yaml")
        ForkedProject(folder).make("--", TABLE, LEARNER)

    return Project(made_once(tmp_path_factory, "local", make))


def edit_profile(folder: Path) -> None:
    """Edit a copy of profiles/slurm as its comments say.

    Its nodes have no CUDA: jobs compute on the CPU, and ask for a GPU as those that need one.
    """
    on_gpu = "|".join(rules_on_gpu(folder))
    path = folder / "profiles" / "slurm" / "config.yaml"
    text = path.read_text()
    for pattern, new in (
        (r"^  # slurm_partition: NAME$", f"  slurm_partition: {PARTITION}"),
        (r"^  - device=cuda$", "  - device=cpu"),
        (rf"^  ({on_gpu}):$", r"  \1:\n    gpu: 1"),
    ):
        text, edits = re.subn(pattern, new, text, flags=re.M)
        assert edits, pattern
    path.write_text(text)


@pytest.fixture
def project(slurm: Slurm, tmp_path: Path) -> Project:
    """A project in which nothing has been made, for Slurm."""
    folder = put_product(tmp_path / "project", Path(__file__).parent / "small.yaml")
    edit_profile(folder)
    return Project(folder, OPTIONS, slurm.env)


@pytest.fixture
def half(slurm: Slurm, local: Project, tmp_path: Path) -> Project:
    """A project for Slurm that lacks increment 1 and all that comes of it."""
    folder = local.copy(tmp_path / "project").folder
    shutil.rmtree(folder / K1)
    shutil.rmtree(folder / TABLE, ignore_errors=True)
    shutil.rmtree((folder / TABLE).parent)
    edit_profile(folder)
    return Project(folder, OPTIONS, slurm.env)


@pytest.fixture
def begin(half: Project) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts Snakemake, which ends with the test at the latest."""
    with ExitStack() as stack:

        def call(*words: str) -> subprocess.Popen:
            printed = stack.enter_context(open(half.folder / "printed", "w"))
            process = start(half, *words, stderr=printed)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield call


def assert_same_bytes(project: Project, local: Project, *targets: str) -> None:
    """Compare all that the targets need with what was made without Slurm."""
    found, expected = project.digests(), local.digests()
    assert set(targets) < set(found)
    assert found == {name: expected.get(name) for name in found}


def states(jobs: list[dict[str, str]]) -> list[str]:
    return [job["JobState"] for job in jobs]


def ended(process: subprocess.Popen, project: Project) -> str:
    """Wait for Snakemake, which is to succeed; return what it has printed."""
    printed = project.folder / "printed"
    assert process.wait() == 0, printed.read_text()[-6000:] + project.logs()
    return printed.read_text()


class Sampling:
    """The job that draws the candidates of increment 1, while it runs."""

    def __init__(self, project: Project) -> None:
        self.resume = project.folder / "results" / ".resume"
        self.log = project.folder / "results/logs/sample_candidates/digits_lgd_s0_k1_0of1.log"

    def saved(self) -> int:
        """Return how many of its ten positions are in its checkpoint."""
        for path in self.resume.glob("sample_candidates,*/*/candidates_from_0.pt"):
            scores = torch.load(path, weights_only=True)["state"]["parts"]["scores"]
            return sum(part.shape[1] for part in scores)
        return 0

    def wait_until_saved(self, positions: int) -> int:
        """Wait for some positions, return how many there are, neither none nor all."""
        wait_until(lambda: self.saved() >= positions, f"{positions} positions of {self.log}", 240)
        assert self.saved() < 10, "too late"
        return self.saved()

    def began_at(self) -> int:
        """Return from which position on its last start went on."""
        found = re.search(r"candidates: .*\| (\d+)/10 ", self.log.read_text())
        assert found, self.log.read_text()
        return int(found[1])


@pytest.fixture
def sampling(half: Project) -> Sampling:
    return Sampling(half)
