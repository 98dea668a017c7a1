"""profiles/slurm on a Slurm that keeps accounts, with a database of its own."""

import pytest

from cluster.conftest import CANDIDATES, assert_same_bytes, ended, states
from cluster.loopback import KEEPING_ACCOUNTS, PROGRAMS, Slurm, missing

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Take the place of the Slurm without accounts, also for the project of this test."""
    if reason := missing(PROGRAMS + KEEPING_ACCOUNTS):
        pytest.skip(reason)
    with Slurm(tmp_path_factory.mktemp("cluster") / "slurm", accounts=True) as running:
        yield running


def test_cancelled_where_accounts_are_kept(slurm, half, local, sampling, begin):
    """The plugin does not know the state that sacct prints, so that the profile asks squeue."""
    process = begin("--", CANDIDATES)
    kept = sampling.wait_until_saved(2)
    (first,) = slurm.jobs(half.folder)
    slurm.tell("scancel", first["JobId"])
    ended(process, half)
    printed = slurm.ask("sacct", "-X", "--noheader", "--parsable2", "--format=State")
    assert printed.splitlines() == ["CANCELLED by 0", "COMPLETED"]
    assert states(slurm.jobs(half.folder)) == ["CANCELLED", "COMPLETED"]
    assert kept <= sampling.began_at() < 10
    assert_same_bytes(half, local, CANDIDATES)
