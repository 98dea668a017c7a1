"""Signals to stop: a job saves its state, says so and ends; the next one goes on from there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from lgd_core.base import stopping
from lgd_core.base.checkpoints import Checkpoint, resumable_loop
from lgd_core.base.stopping import Stopped, StopRequest

ROOT = Path(__file__).parents[2]
SENT = pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """Return a request that signals to this process are noted in."""
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    request = StopRequest()
    with request.heeded():
        yield request
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


@SENT
def test_the_next_save_ends_the_job(
    tmp_path: Path, stop: StopRequest, number: signal.Signals, status: int
) -> None:
    checkpoint = Checkpoint(tmp_path, 3600, stop)
    assert checkpoint.load("a") is None
    assert not checkpoint.due()
    os.kill(os.getpid(), number)
    assert checkpoint.due()
    with pytest.raises(Stopped) as stopped:
        checkpoint.save("a", {"step": 1})
    assert str(stopped.value) == f"stopped by {number.name}: saved {tmp_path / 'a.pt'}"
    assert stopped.value.status == status
    assert Checkpoint(tmp_path).load("a") == {"step": 1}


def test_a_part_and_the_whole_are_due_alike(tmp_path: Path, stop: StopRequest) -> None:
    whole = Checkpoint(tmp_path, 3600, stop)
    part = whole.part("one").part("deeper")
    part.load("a")
    os.kill(os.getpid(), signal.SIGTERM)
    assert part.due()
    assert whole.due()
    with pytest.raises(Stopped, match=r"one/deeper/a\.pt"):
        part.save("a", {})


def test_without_a_signal_saving_goes_on(tmp_path: Path, stop: StopRequest) -> None:
    checkpoint = Checkpoint(tmp_path, 0, stop)
    checkpoint.load("a")
    checkpoint.save("a", {"step": 1})
    checkpoint.save("a", {"step": 2})
    assert checkpoint.load("a") == {"step": 2}


@SENT
def test_work_without_checkpoints_ends_at_once(
    stop: StopRequest, number: signal.Signals, status: int
) -> None:
    with pytest.raises(Stopped, match="nothing to save") as stopped:
        os.kill(os.getpid(), number)
    assert stopped.value.status == status


def test_a_second_signal_ends_at_once_but_an_echo_does_not(
    stop: StopRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checkpoint(tmp_path, 3600, stop).load("a")
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.setattr(stopping, "ECHO_SECONDS", 0)
    with pytest.raises(Stopped, match="SIGINT: nothing to save"):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest().heeded():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def trained(
    checkpoint: Checkpoint, at_step: Callable[[int], None] = lambda _: None
) -> torch.Tensor:
    """Return the weights after ten steps of training, at each of which a function is called."""
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(number: int) -> float:
        at_step(number)
        loss = model(torch.full((1, 3), float(number))).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    resumable_loop({"model": model, "optimiser": optimiser}, step, 10, "toy", checkpoint)
    return model.weight.detach()


def test_a_loop_that_was_stopped_ends_as_an_undisturbed_one(
    tmp_path: Path, stop: StopRequest
) -> None:
    expected, seen = trained(Checkpoint(None), lambda _: None), []

    def at_step(number: int) -> None:
        seen.append(number)
        if number == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        trained(Checkpoint(tmp_path, 3600, stop), at_step)
    assert seen == [0, 1, 2, 3, 4]
    assert torch.equal(trained(Checkpoint(tmp_path, 3600), seen.append), expected)
    assert seen == [*range(10)], "no step is done twice"


# A script of a rule: trains for ever, writes without checkpoints, or writes after the last one.
SCRIPT = """
import sys, time
from types import SimpleNamespace
from snakemake.iocontainers import InputFiles
from job import running
from lgd_core.base.files import atomic

kind = sys.argv[1]
snakemake = SimpleNamespace(
    rule="any", threads=1, log=["log"], wildcards={"k": "1"}, input=InputFiles(),
    config={"device": "cpu", "precision": "auto", "checkpoint_seconds": 3600,
            "checkpoint_folder": "results/.resume"},
    params=SimpleNamespace(settings={"stage": "any"}),
)
with running(snakemake) as job:
    step = 0
    if kind != "plain":
        step = (job.checkpoint.load("a", "step") or {"step": 0})["step"]
        print("from step", step)
    print("ready", file=sys.__stdout__, flush=True)
    while kind == "training":
        time.sleep(0.05)
        step += 1
        if job.checkpoint.due():
            job.checkpoint.save("a", {"step": step})
    with atomic("result") as temporary:
        temporary.write_text("half")
        sys.stdin.readline()
        temporary.write_text("whole")
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Return a function that starts a script of a kind and waits until it is at work."""
    jobs: list[subprocess.Popen] = []

    def start_one(kind: str) -> subprocess.Popen:
        job = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, kind],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'workflow_scripts'}"},
        )
        jobs.append(job)
        assert job.stdout.readline() == "ready\n"
        return job

    yield start_one
    for job in jobs:
        job.kill()
        job.communicate()


def names(folder: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@SENT
def test_a_job_with_checkpoints_saves_and_says_so_and_the_next_goes_on(
    start: Callable, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    job, sent = start("training"), time.monotonic()
    job.send_signal(number)
    printed = job.communicate(timeout=60)[1]
    assert job.returncode == status
    assert time.monotonic() - sent < 10
    kept = next(tmp_path.rglob("*.pt"))
    line = f"stopped by {number.name}: saved {kept.relative_to(tmp_path)}"
    assert (tmp_path / "log").read_text().splitlines()[-1] == line
    assert printed == f"any: {line}\n", "one line, no traceback"
    assert names(tmp_path) == ["a.pt", "log"]
    saved = Checkpoint(kept.parent).load("a")["step"]
    start("training")
    assert f"from step {saved}\n" in (tmp_path / "log").read_text()


@SENT
def test_a_job_without_checkpoints_ends_at_once_and_leaves_nothing(
    start: Callable, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    job = start("plain")
    job.send_signal(number)
    job.wait(timeout=60)
    assert job.returncode == status
    line = f"stopped by {number.name}: nothing to save"
    assert (tmp_path / "log").read_text().splitlines()[-1] == line
    assert names(tmp_path) == ["log"], "no temporary, no owner"


def test_a_job_past_its_last_checkpoint_finishes(start: Callable, tmp_path: Path) -> None:
    job = start("writing")
    job.terminate()
    job.communicate("go on\n", timeout=60)
    assert job.returncode == 0
    assert (tmp_path / "result").read_text() == "whole"
    assert names(tmp_path) == ["log", "result"]


def test_a_second_signal_ends_a_job_that_does_not_come_to_save(
    start: Callable, tmp_path: Path
) -> None:
    job = start("writing")
    job.terminate()
    time.sleep(1.5 * stopping.ECHO_SECONDS)
    assert job.poll() is None
    job.terminate()
    job.wait(timeout=60)
    assert job.returncode == 143
    assert names(tmp_path) == ["log"]
