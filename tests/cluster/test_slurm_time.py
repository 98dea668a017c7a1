"""profiles/slurm on a real Slurm: time that is too short."""

import pytest

from cluster.conftest import CANDIDATES, assert_same_bytes, ended, states

pytestmark = pytest.mark.cluster


def test_time_that_is_too_short(slurm, half, local, sampling, begin):
    """SIGTERM at the end of its time: sampling saves, ends, is tried with more time, goes on."""
    process = begin("--", CANDIDATES)
    sampling.wait_until_saved(2)
    (first,) = slurm.jobs(half.folder)
    slurm.tell("scancel", "--signal=STOP", f"{first['JobId']}.0")
    kept = sampling.saved()
    slurm.tell("scontrol", "update", f"JobId={first['JobId']}", "EndTime=now")
    printed = ended(process, half)
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["TIMEOUT", "COMPLETED"]
    assert "stopped by SIGTERM: saved results/.resume/sample_candidates," in printed
    assert kept <= sampling.began_at() <= kept + 1
    assert_same_bytes(half, local, CANDIDATES)
