"""What the scripts of many jobs import: seconds that a run spends as often as it has jobs."""

import os
import subprocess
import sys

import pytest

from benchmarks.orchestration import SCRIPTS, imports_of

# Libraries that take seconds to import, and the jobs that need neither a prior nor files of images.
SLOW = ("diffusers", "torchvision", "matplotlib", "sklearn", "scipy.stats")
TRAINING = ("evaluate", "cross_increment", "measure_difficulty")
ASSEMBLING = ("select_increment", "merge_increment")


def imported(script: str) -> set[str]:
    """Return the modules that a script's import statements load."""
    code = f"{imports_of(script)}\nimport sys; print(*sys.modules, sep='\\n')"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)])}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("script", TRAINING)
def test_jobs_that_train_import_no_prior_and_no_decoder(script: str) -> None:
    found = imported(script)
    assert "torch" in found
    assert not found & set(SLOW)


def test_learners_import_what_averages_weights() -> None:
    found = imported("train_learner")
    assert "timm" in found, "which imports torchvision"
    assert not found & set(SLOW) - {"torchvision"}


@pytest.mark.parametrize("script", ASSEMBLING)
def test_jobs_that_assemble_import_little(script: str) -> None:
    assert not imported(script) & {*SLOW, "timm"}


@pytest.mark.parametrize("script", ["table", "table_page", "figure"])
def test_jobs_that_gather_do_not_import_pytorch(script: str) -> None:
    assert "torch" not in imported(script)
