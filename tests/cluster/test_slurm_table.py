"""profiles/slurm on a real Slurm: a table in spite of a requeue."""

import pytest

from cluster.conftest import LEARNER, TABLE, assert_same_bytes, ended, states
from cluster.loopback import wait_until

pytestmark = pytest.mark.cluster


def test_a_table_in_spite_of_a_requeue(slurm, half, local, sampling, begin):
    """The rest of a workflow to its table, with sampling put back into the queue half way."""
    process = begin("--", TABLE, LEARNER)
    kept = sampling.wait_until_saved(3)
    (job,) = slurm.jobs(half.folder)
    slurm.tell("scontrol", "requeue", job["JobId"])
    wait_until(lambda: slurm.job(job["JobId"])["JobState"] == "PENDING", "a requeue")
    assert sampling.saved() < 10
    slurm.tell("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")
    ended(process, half)
    assert kept <= sampling.began_at() < 10
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["COMPLETED"] * len(jobs)
    assert [job["Restarts"] for job in jobs] == ["1"] + ["0"] * (len(jobs) - 1)
    assert_same_bytes(half, local, TABLE, LEARNER)
    # Candidates; select, merge and learner; student; table, the only one without a GPU.
    asked = ["gpu" in job.get("TresPerJob", "") for job in jobs]
    assert asked == [True, True, True, False]
