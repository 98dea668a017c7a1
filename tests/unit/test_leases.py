"""No two jobs ever hold the same card, and a killed job holds none; cards are simulated."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from snakemake.iocontainers import InputFiles

from lgd_core.base import leases
from lgd_core.base.devices import cuda_cards
from lgd_core.base.errors import UserError
from lgd_core.base.leases import has_gpu, lease, lease_folder, why_no_gpu

ROOT = Path(__file__).parents[2]
CARDS = ["left", "right"]
# A job: leases a card, tells when it has it, holds it until its input ends or for some seconds.
JOB = f"""
import sys, time
from pathlib import Path
from lgd_core.base import leases
leases.POLL_SECONDS = 0.01
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
def say(*words):
    print(*words, flush=True)
with leases.lease({CARDS}, folder, lambda line: say("log", line)) as index:
    say("enter", index, time.monotonic())
    time.sleep(seconds) if seconds else sys.stdin.read()
    say("exit", index, time.monotonic())
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[float], subprocess.Popen]]:
    """Return a function that starts a job; what is still running is killed after the test."""
    jobs = []

    def start_one(seconds: float = 0) -> subprocess.Popen:
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(tmp_path / "leases"), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        jobs.append(job)
        return job

    yield start_one
    for job in jobs:
        job.kill()
        job.communicate()


def card_of(job: subprocess.Popen) -> int:
    """Wait until a job has its card and return which."""
    word, index, _ = job.stdout.readline().split()
    assert word == "enter"
    return int(index)


def fill(start: Callable[[float], subprocess.Popen]) -> dict[int, subprocess.Popen]:
    """Start as many jobs as there are cards and one that waits, under 'waiting'."""
    holders = {card_of(job): job for job in (start(), start())}
    assert set(holders) == {0, 1}
    waiting = start()
    assert waiting.stdout.readline() == "log waiting for a GPU: other jobs hold all 2\n"
    return holders | {"waiting": waiting}


def test_third_job_waits_until_a_card_is_released(start: Callable) -> None:
    jobs = fill(start)
    assert all(job.poll() is None for job in jobs.values())
    jobs[1].communicate("")
    assert card_of(jobs["waiting"]) == 1


@pytest.mark.parametrize("card", [0, 1])
def test_card_of_a_killed_job_is_free_at_once(start: Callable, card: int) -> None:
    jobs = fill(start)
    jobs[card].kill()
    killed = time.monotonic()
    assert card_of(jobs["waiting"]) == card
    assert time.monotonic() - killed < 10


def test_many_short_jobs_never_share_a_card(start: Callable) -> None:
    jobs = [start(0.02) for _ in range(12)]
    held: dict[str, list] = {"0": [], "1": []}
    for job in jobs:
        lines = [line.split() for line in job.communicate()[0].splitlines()]
        (_, card, entered), (_, same, left) = [line for line in lines if line[0] != "log"]
        assert card == same
        held[card].append((float(entered), float(left)))
    assert sum(map(len, held.values())) == len(jobs)
    for spans in held.values():
        spans.sort()
        for (_, left), (entered, _) in pairwise(spans):
            assert left < entered


def test_card_is_released_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with lease(["only"], tmp_path / "leases", print):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with lease(["only"], tmp_path / "leases", pytest.fail) as index:
        assert index == 0


def test_cards_are_known_by_name_not_by_position(tmp_path: Path) -> None:
    with lease(CARDS, tmp_path, print) as first, lease(CARDS[::-1], tmp_path, print) as second:
        assert (first, second) == (0, 0)


def test_folder_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    for folder in (tmp_path / "open", tmp_path / "new"):
        with lease(CARDS, folder, print):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error, lease(CARDS, folder, print):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert f"{tmp_path}: found another user's" in refusal(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_link_and_file_in_the_place_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        assert "expected one of your own" in refusal(tmp_path / name)
    assert "cannot be made (No such file or directory)" in refusal(tmp_path / "no" / "where")


def test_folder_is_the_same_for_all_jobs_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 7)
    assert lease_folder().name == "lgd-gpus-7"


def test_cards_are_named_by_uuid_or_else_by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [SimpleNamespace(uuid="a-1"), SimpleNamespace()]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", known.__getitem__)
    assert cuda_cards() == ["a-1", "1"]


class Driver:
    """Stands in for libcuda: what it says of its version and of visible cards."""

    def __init__(self, version: int, cards: int, fault: int = 0) -> None:
        self.version, self.cards, self.fault = version, cards, fault

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.fault

    def cuDeviceGetCount(self, count: object) -> int:  # noqa: N802
        count._obj.value = self.cards
        return 0

    def cuDriverGetVersion(self, version: object) -> int:  # noqa: N802
        version._obj.value = self.version
        return 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Return a function that simulates what a machine has: build of torch, driver, its tool."""

    def simulate(build: str, driver: Driver | None, listed: bool) -> None:
        def load(name: str) -> Driver:
            if driver is None:
                raise OSError(f"{name}: cannot open shared object file")
            return driver

        (tmp_path / "version.py").write_text(f"__version__ = '2.15.0'\ncuda: str = {build}\n")
        spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(leases, "find_spec", lambda name: spec)
        monkeypatch.setattr(leases.ctypes, "CDLL", load)
        if listed:
            (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-1)'\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return simulate


@pytest.mark.parametrize(
    ("build", "driver", "listed", "said"),
    [
        ("'13.2'", Driver(13000, 1), True, ""),
        ("'12.8'", Driver(13000, 2), False, ""),
        ("None", Driver(13000, 1), True, "a GPU is there, but the installed torch has no CUDA"),
        ("None", Driver(13000, 1), False, "a GPU is there, but the installed torch has no CUDA"),
        ("'13.2'", Driver(12080, 1), True, "its driver has CUDA 12 and the installed torch needs"),
        ("'13.2'", Driver(13000, 0, 999), True, "a GPU is there, but its driver does not work"),
        ("'13.2'", Driver(13000, 0, 100), False, "no GPU on this machine"),
        ("'13.2'", None, False, "no GPU on this machine"),
    ],
)
def test_gpu_counts_where_torch_can_use_it_and_otherwise_the_reason_is_said(
    machine: Callable, build: str, driver: Driver | None, listed: bool, said: str
) -> None:
    machine(build, driver, listed)
    assert has_gpu() == (not said)
    assert said in why_no_gpu()


def test_card_that_is_hidden_is_none(machine: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    machine("'13.2'", Driver(13000, 0, 100), True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert why_no_gpu() == "a GPU is there, but CUDA_VISIBLE_DEVICES is ''"


def test_driver_s_tool_alone_makes_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose tool lists a card: what the workflow counts on is what torch can use."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-1)'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert has_gpu() == torch.cuda.is_available()


@pytest.fixture
def two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Simulate two GPUs; return the list of what becomes the current one."""
    current: list[torch.device] = []
    cards = [SimpleNamespace(uuid=name) for name in CARDS]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.__getitem__)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.syspath_prepend(ROOT / "workflow_scripts")
    return current


def snakemake_job(folder: Path) -> SimpleNamespace:
    """Return what a script gets from Snakemake, as far as it is read here."""
    return SimpleNamespace(
        rule="any",
        threads=torch.get_num_threads(),
        log=[folder / "log"],
        config={"device": "auto", "checkpoint_seconds": 1, "checkpoint_folder": "results/.resume"},
        wildcards={"name": folder.name},
        input=InputFiles(),
        params=SimpleNamespace(settings={"stage": "any"}),
    )


def test_script_holds_its_card_until_it_ends(
    tmp_path: Path, two_cards: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from job import running

    monkeypatch.chdir(tmp_path)
    with running(snakemake_job(tmp_path / "a")) as first:
        with running(snakemake_job(tmp_path / "b")) as second:
            assert [first.device, second.device] == [torch.device("cuda", n) for n in (0, 1)]
        with running(snakemake_job(tmp_path / "c")) as third:
            assert third.device == torch.device("cuda", 1)
            assert third.device == torch.device("cuda", 1), "leased once"
    assert two_cards == [torch.device("cuda", n) for n in (0, 1, 1)]
    assert "device: cuda:1" in (tmp_path / "b" / "log").read_text()


def test_script_that_does_not_ask_for_the_device_takes_no_card(
    tmp_path: Path, two_cards: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    from job import running

    monkeypatch.chdir(tmp_path)
    with running(snakemake_job(tmp_path)) as job:
        assert "threads" in job.stamp()["hardware"]
    assert two_cards == []
    assert not lease_folder().exists()
