"""profiles/slurm on a real Slurm: time that is too short."""

from conftest import CANDIDATES, assert_same_bytes, ended, states
from projects import start


def test_time_that_is_too_short(slurm, half, local, sampling):
    """SIGTERM at the end of its time: sampling saves, ends, is tried with more time, goes on."""
    with open(half.folder / "printed", "w") as printed:
        process = start(half, "--", CANDIDATES, stderr=printed)
        sampling.wait_until_saved(2)
        (first,) = slurm.jobs(half.folder)
        slurm.tell("scancel", "--signal=STOP", f"{first['JobId']}.0")
        kept = sampling.saved()
        slurm.tell("scontrol", "update", f"JobId={first['JobId']}", "EndTime=now")
        ended(process, half)
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["TIMEOUT", "COMPLETED"]
    text = (half.folder / "printed").read_text()
    assert "stopped by SIGTERM: saved results/.resume/sample_candidates," in text
    assert kept <= sampling.began_at() <= kept + 1
    assert_same_bytes(half, local, CANDIDATES)
