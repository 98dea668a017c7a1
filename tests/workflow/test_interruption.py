"""Killed or stopped at any moment: the result is that of an undisturbed run, byte for byte."""

import os
import shutil
import signal
import time

import pytest
from conftest import TARGETS, copy_of, kill, start, wait_for

from lgd_core.base.owners import owner_of

LGD = "results/digits/lgd/s0/k1"
PRIOR = "results/digits/prior.json"


def finish(project, *targets: str) -> None:
    project.make("--unlock")
    project.make("--", *targets)


def assert_same_bytes(project, finished, *targets: str) -> None:
    """Compare all that the targets need; the finished project has more beside it."""
    found, expected = project.digests(), finished.digests()
    assert set(targets) < set(found)
    assert found == {name: expected.get(name) for name in found}


@pytest.fixture
def without_increment_1(finished, tmp_path):
    """The finished project, less increment 1 of lgd and all that came of it."""
    project = copy_of(finished, tmp_path / "project")
    shutil.rmtree(project.folder / "results/digits/lgd/s0/k1")
    shutil.rmtree(project.folder / "results/digits_ipc20")
    return project


def test_killed_while_the_prior_is_trained(finished, fresh):
    process = start(fresh, "--", PRIOR)
    wait_for(fresh, "results/.resume/train_prior,*/*/transformer.pt", process)
    kill(process)
    assert not (fresh.folder / "results/digits/prior").exists(), "nothing half-written"
    finish(fresh, PRIOR)
    assert_same_bytes(fresh, finished, PRIOR)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("SIGTERM", 143, id="to the job"),
        pytest.param("SIGINT", 130, id="Ctrl-C", marks=pytest.mark.slow),
    ],
)
def test_asked_to_stop_while_the_prior_is_trained(finished, fresh, name, status):
    """SIGTERM to the job alone, as from Slurm, or SIGINT to all, as from a terminal.

    No checkpoint would be due for an hour.
    """
    with open(fresh.folder / "printed", "w") as printed:
        rare = ("--config", "checkpoint_seconds=3600", "--", PRIOR)
        process = start(fresh, *rare, stderr=printed)
        log = fresh.folder / "results/logs/train_prior/digits.log"
        while not log.exists() or "transformer: " not in log.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        resume = next((fresh.folder / "results/.resume").glob("train_prior,*"))
        number, job = signal.Signals[name], owner_of(resume)
        if number == signal.SIGTERM:
            os.kill(job.process, number)
        else:
            os.killpg(process.pid, number)
        assert process.wait() == 1
    kept = next(resume.glob("*/transformer.pt")).relative_to(fresh.folder)
    line = f"stopped by {name}: saved {kept}"
    assert log.read_text().splitlines()[-1] == line
    text = (fresh.folder / "printed").read_text()
    assert f"train_prior: {line}\n" in text
    assert f"returned non-zero exit status {status}" in text
    assert not (fresh.folder / "results/digits/prior").exists(), "nothing half-written"
    assert sorted(path.name for path in (fresh.folder / kept).parent.iterdir()) == [
        "autoencoder.pt",
        "transformer.pt",
    ]
    fresh.make("--config", "checkpoint_seconds=3600", "--", PRIOR)
    first = next(line for line in log.read_text().splitlines() if "transformer: " in line)
    assert "| 0/" not in first, "goes on from the steps that were kept"
    assert_same_bytes(fresh, finished, PRIOR)


@pytest.mark.slow
def test_a_job_that_outlived_snakemake_is_not_disturbed(finished, fresh):
    """A second job for the same result does not start, and deletes nothing of the first one's."""
    process = start(fresh, "--", PRIOR)
    wait_for(fresh, "results/.resume/train_prior,*/*/autoencoder.pt", process)
    resume = next((fresh.folder / "results/.resume").glob("train_prior,*"))
    job = owner_of(resume).process
    os.kill(job, signal.SIGSTOP)  # or it would be done too soon
    process.kill()
    process.wait()
    fresh.make("--unlock")
    second = fresh.run("--", PRIOR)
    assert second.returncode == 1
    assert f"found another job at work in it (process {job} on " in second.stderr
    os.kill(job, signal.SIGTERM)
    os.kill(job, signal.SIGCONT)
    while owner_of(resume):
        time.sleep(0.02)
    assert list(resume.glob("*/autoencoder.pt")), "kept by the one that was refused"
    fresh.make("--", PRIOR)
    assert_same_bytes(fresh, finished, PRIOR)


@pytest.mark.parametrize(
    ("stage", "targets"),
    [
        ("sample_candidates", [f"{LGD}/increment.safetensors"]),
        pytest.param("train_learner", [f"{LGD}/learner.safetensors"], marks=pytest.mark.slow),
        pytest.param("evaluate", TARGETS, marks=pytest.mark.slow),
    ],
)
def test_killed_in_a_stage(finished, without_increment_1, stage, targets):
    """The last makes all that is missing; sampling redoes at most the position in flight."""
    project = without_increment_1
    process = start(project, "--", *targets)
    wait_for(project, f"results/.resume/{stage},*/**/*.pt", process)
    time.sleep(0.5 if stage == "sample_candidates" else 0)
    kill(process)
    finish(project, *targets)
    assert_same_bytes(project, finished, *targets)
    if stage == "sample_candidates":
        log = project.folder / "results/logs/sample_candidates/digits_lgd_s0_k1_0of1.log"
        first = next(line for line in log.read_text().splitlines() if "candidates:" in line)
        assert "| 0/10" not in first, "goes on from the positions that were kept"


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(10))
def test_killed_at_ten_moments_of_sampling(finished, without_increment_1, moment):
    """Each time a little later: before the first position is kept, in between, after the last."""
    project = without_increment_1
    process = start(project, "--", *TARGETS)
    wait_for(project, "results/.resume/sample_candidates,*/*/*.pt", process)
    time.sleep(0.25 * moment)
    kill(process)
    finish(project, *TARGETS)
    assert_same_bytes(project, finished, *TARGETS)
