"""kill -9 at any moment: the finished result is that of an undisturbed run, byte for byte."""

import shutil
import time

import pytest
from conftest import TARGETS, copy_of, kill, start, wait_for

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
    ("stage", "targets"),
    [
        ("sample_candidates", [f"{LGD}/increment.safetensors"]),
        ("train_learner", [f"{LGD}/learner.safetensors"]),
        ("evaluate", TARGETS),
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
