"""profiles/slurm on a real Slurm: a table in spite of too little time and of a requeue."""

from cluster.conftest import LEARNER, TABLE, assert_same_bytes, ended, states
from cluster.loopback import wait_until


def test_a_table_in_spite_of_too_little_time_and_a_requeue(slurm, half, local, sampling, begin):
    """Sampling hears SIGTERM when its time ends and is tried with more; then it is requeued."""
    process = begin("--", TABLE, LEARNER)
    sampling.wait_until_saved(2)
    (first,) = slurm.jobs(half.folder)
    # Held, so that it cannot end before its time does; Slurm lets it go on to hear SIGTERM.
    slurm.tell("scancel", "--signal=STOP", f"{first['JobId']}.0")
    kept = sampling.saved()
    slurm.tell("scontrol", "update", f"JobId={first['JobId']}", "EndTime=now")

    sampling.wait_until_saved(kept + 2)
    assert kept <= sampling.began_at() <= kept + 1
    _, second = slurm.jobs(half.folder)
    kept = sampling.saved()
    slurm.tell("scontrol", "requeue", second["JobId"])
    wait_until(lambda: slurm.job(second["JobId"])["JobState"] == "PENDING", "a requeue")
    assert sampling.saved() < 10
    slurm.tell("scontrol", "update", f"JobId={second['JobId']}", "StartTime=now")

    printed = ended(process, half)
    assert "stopped by SIGTERM: saved results/.resume/sample_candidates," in printed
    assert kept <= sampling.began_at() < 10
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["TIMEOUT", *["COMPLETED"] * 4]
    assert [job["Restarts"] for job in jobs] == ["0", "1", "0", "0", "0"]
    # Candidates twice; select, merge and learner; student; table, the only one without a GPU.
    asked = ["gpu" in job.get("TresPerJob", "") for job in jobs]
    assert asked == [True, True, True, True, False]
    assert_same_bytes(half, local, TABLE, LEARNER)
