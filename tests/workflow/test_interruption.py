"""kill -9 at any moment: the finished result is that of an undisturbed run, byte for byte."""

import os
import signal
import subprocess
import time

import pytest
from conftest import TARGETS

STAGES = ("train_prior", "train_learner", "sample_candidates", "evaluate")


def start(project):
    return subprocess.Popen(
        project.command("--", *TARGETS),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(project, pattern: str, process) -> None:
    """Wait until a job has saved resume state, so that the kill hits it half done."""
    while process.poll() is None and not list(project.folder.glob(pattern)):
        time.sleep(0.02)
    assert process.poll() is None, f"ended before {pattern} was seen"


def finish(project) -> None:
    project.make("--unlock")
    project.make("--", *TARGETS)


@pytest.mark.parametrize("stage", ["train_prior", "sample_candidates"])
def test_killed_in_a_stage_and_resumed(finished, fresh, stage):
    process = start(fresh)
    wait_for(fresh, f"results/.resume/{stage}-*/*.pt", process)
    kill(process)
    finish(fresh)
    assert fresh.digests() == finished.digests()


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(10))
def test_killed_at_ten_moments(finished, fresh, moment):
    """Kill while candidates are drawn, each time a little later, then finish."""
    process = start(fresh)
    wait_for(fresh, "results/.resume/sample_candidates-*/*.pt", process)
    time.sleep(0.35 * moment)
    kill(process)
    finish(fresh)
    assert fresh.digests() == finished.digests()
