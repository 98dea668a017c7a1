"""profiles/slurm on a real Slurm: all stages, and how jobs are put together."""

import re
import shutil

import pytest
from conftest import LEARNER, TABLE, assert_same_bytes, states

pytestmark = pytest.mark.cluster

PROFILE = "profiles/slurm/config.yaml"
EVALUATIONS = "results/digits/lgd/s0/k1/evaluate"


def test_from_nothing_to_a_table(slurm, project, local):
    """Every stage, with the bytes of a local run and at most two jobs an increment."""
    project.make("--", TABLE, LEARNER)
    jobs = slurm.jobs(project.folder)
    assert states(jobs) == ["COMPLETED"] * len(jobs)
    assert_same_bytes(project, local, TABLE, LEARNER)
    # Increment 1 is its candidates, then what is selected of them with its PNG and its learner.
    assert [rule_of(job) for job in jobs] == [
        "prepare_dataset",
        "train_reference",
        "train_prior",
        "seed_increment",
        "increment_digits_lgd_s0_k0_train_learner",
        "sample_candidates",
        "increment_digits_lgd_s0_k1_merge_increment_select_increment_train_learner",
        "evaluate",
        "table",
    ]


def rule_of(job: dict[str, str]) -> str:
    """Return the rule of a job, or its group and rules, of the plugin's comment."""
    return re.match(r"rule_(.*?)(_wildcards_.*)?$", job["Comment"])[1]


def test_a_cluster_that_knows_gpus_as_gres_only(slurm, half, local):
    """The alternative that the profile's comments give, with a group that needs a GPU in part."""
    half.replace(PROFILE, "    gpu: 1\n", "    gpu: 0\n    gres: \"'gpu:1'\"\n")
    half.make("--", LEARNER)
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["COMPLETED", "COMPLETED"]
    assert [job["TresPerNode"] for job in jobs] == ["gres:gpu:1"] * 2
    assert not any("TresPerJob" in job for job in jobs)
    assert_same_bytes(half, local, LEARNER)


def test_jobs_of_a_rule_as_one_array(slurm, half, local):
    """Both students are tasks of one job; the first has the bytes of a local run."""
    shutil.rmtree(half.folder / "results")
    shutil.copytree(local.folder / "results", half.folder / "results")
    shutil.rmtree(half.folder / EVALUATIONS)
    students = [f"{EVALUATIONS}/hard/ConvNet-3-w32/r{run}.json" for run in range(2)]
    half.make("--config", "runs=2", "device=cpu", "--slurm-array-jobs", "all", "--", *students)
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["COMPLETED"] * 2
    assert len({job["ArrayJobId"] for job in jobs}) == 1
    assert {job["ArrayTaskId"] for job in jobs} == {"1", "2"}
    found, expected = half.digests(), local.digests()
    assert found[students[0]] == expected[students[0]] != found[students[1]]
