"""Faults around a run: several calls at once, and a job that is killed for its memory."""

import os
import signal
import subprocess
import time

import pytest
from conftest import Project, new_project, start

from lgd_core.base.owners import owner_of
from lgd_core.base.watching import NO_REASON

REFERENCE = "results/digits/reference/metrics.json"
RESUME = "results/.resume/train_reference,dataset=digits"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Project:
    """A project in which the reference has been made."""
    project = new_project(tmp_path_factory.mktemp("undisturbed") / "project")
    project.make("--", REFERENCE)
    return project


def process_of(project: Project, snakemake: subprocess.Popen) -> int:
    """Wait until the reference is trained; return the number of the job's process."""
    resume = project.folder / RESUME
    while not list(resume.glob("*/*.pt")):
        assert snakemake.poll() is None, project.logs()
        time.sleep(0.02)
    return owner_of(resume).process


def test_a_second_call_and_a_dry_run_disturb_nothing(undisturbed, fresh):
    first = start(fresh, "--", REFERENCE)
    job = process_of(fresh, first)
    os.kill(job, signal.SIGSTOP)  # or it would be done too soon
    dry = fresh.run("-n", "--", REFERENCE)
    assert dry.returncode == 0, dry.stderr
    assert "train_reference" in dry.stdout
    second = fresh.run("--", REFERENCE)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stderr
    os.kill(job, signal.SIGCONT)
    assert first.wait() == 0
    found = fresh.digests()
    assert REFERENCE in found
    assert found == undisturbed.digests()
    assert not fresh.planned("--", REFERENCE)


def test_a_job_that_is_killed_for_its_memory_says_so_and_the_next_call_goes_on(undisturbed, fresh):
    """The kernel ends one process by SIGKILL; Snakemake lives."""
    with open(fresh.folder / "printed", "w") as printed:
        snakemake = start(fresh, "--", REFERENCE, stderr=printed)
        os.kill(process_of(fresh, snakemake), signal.SIGKILL)
        assert snakemake.wait() == 1
    text = (fresh.folder / "printed").read_text()
    assert f"train_reference digits: {NO_REASON}" in text
    assert not (fresh.folder / REFERENCE).exists()
    assert list((fresh.folder / RESUME).glob("*/*.pt")), "its checkpoint is kept"
    fresh.make("--", REFERENCE)
    log = (fresh.folder / "results/logs/train_reference/digits.log").read_text()
    assert "taken over, its job has ended" in log
    found = fresh.digests()
    assert found == undisturbed.digests()
