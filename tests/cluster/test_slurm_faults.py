"""profiles/slurm on a real Slurm: what ends jobs there, and who else may run them."""

import os
import re
import signal

import pytest

from cluster.conftest import CANDIDATES, assert_same_bytes, ended, states
from cluster.loopback import wait_until

pytestmark = pytest.mark.cluster

SCRIPT = "workflow_scripts/sample_candidates.py"
LEARNER_0 = "results/digits/lgd/s0/k0/learner.safetensors"
START = "with running(snakemake) as job:\n"
# While there is a file "hold", the job waits after its next position, and others see that it lives.
HELD = """\
import os
import time
from lgd_core.base.checkpoints import Checkpoint

save = Checkpoint.save


def save_and_wait(*words):
    save(*words)
    while os.path.exists("hold"):
        time.sleep(0.1)


Checkpoint.save = save_and_wait

"""
# Nothing enforces memory here, so the job ends as if the kernel did.
GREEDY = """\
import os
import signal

if snakemake.resources.mem_mb < 30000:
    os.kill(os.getpid(), signal.SIGKILL)

"""


def test_cancelled(slurm, half, local, sampling, begin):
    """scancel counts as failure: sampling has saved and is tried again, with more time."""
    process = begin("--", CANDIDATES)
    kept = sampling.wait_until_saved(3)
    (first,) = slurm.jobs(half.folder)
    slurm.tell("scancel", first["JobId"])
    printed = ended(process, half)
    assert kept <= sampling.began_at() < 10
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["CANCELLED", "COMPLETED"]
    assert [job["TimeLimit"] for job in jobs] == ["12:00:00", "1-00:00:00"]
    assert "stopped by SIGTERM: saved " in printed
    assert_same_bytes(half, local, CANDIDATES)


def test_a_node_fails(slurm, half, local, sampling, begin):
    """Slurm puts the job back into its queue; on the other node it goes on without a wait."""
    process = begin("--", CANDIDATES)
    kept = sampling.wait_until_saved(3)
    (job,) = slurm.jobs(half.folder)
    slurm.break_node(job["NodeList"])
    wait_until(lambda: slurm.job(job["JobId"])["JobState"] == "PENDING", "a requeue")
    slurm.tell("scontrol", "update", f"JobId={job['JobId']}", "StartTime=now")
    ended(process, half)
    slurm.mend_node(job["NodeList"])
    assert kept <= sampling.began_at() < 10
    (again,) = slurm.jobs(half.folder)
    assert (again["JobState"], again["Restarts"]) == ("COMPLETED", "1")
    assert again["NodeList"] != job["NodeList"]
    log = sampling.log.read_text()
    assert f", Slurm job {job['JobId']})" in log.splitlines()[0], "taken over"
    assert "waiting" not in log
    assert_same_bytes(half, local, CANDIDATES)


def test_killed_as_if_its_memory_were_too_small(slurm, half, local):
    """A crash is tried again with more memory, which a user's error is not."""
    half.replace(SCRIPT, START, GREEDY + START)
    half.make("--", CANDIDATES)
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["FAILED", "COMPLETED"]
    assert [job["MinMemoryNode"] for job in jobs] == ["24000M", "36000M"]
    assert_same_bytes(half, local, CANDIDATES)


def test_a_user_s_error_is_said_and_not_tried_again(slurm, half, local, sampling):
    """Further attempts end at once with its line; mended, the next call goes on."""
    path = half.folder / LEARNER_0
    contents, when = path.read_bytes(), path.stat()
    damaged = bytearray(contents)
    damaged[-2] ^= 1
    path.write_bytes(damaged)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    done = half.run("--retries", "1", "--", CANDIDATES)
    assert done.returncode == 1
    line = f"error: {LEARNER_0}: found contents that do not match their digest"
    jobs = slurm.jobs(half.folder)
    assert states(jobs) == ["FAILED"] * len(jobs)
    assert sum(text.startswith(line) for text in done.stderr.splitlines()) == len(jobs) == 2
    assert sampling.log.read_text().startswith(line), "the last attempt has not begun to compute"
    path.write_bytes(contents)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    half.make("--", CANDIDATES)
    assert states(slurm.jobs(half.folder)[2:]) == ["COMPLETED"]
    assert_same_bytes(half, local, CANDIDATES)


def test_two_calls_in_one_folder(slurm, half, local, sampling, begin):
    process = begin("--", CANDIDATES)
    sampling.wait_until_saved(1)
    second = half.run("--", CANDIDATES)
    assert second.returncode == 1
    assert "LockException" in second.stderr
    ended(process, half)
    assert len(slurm.jobs(half.folder)) == 1, "the second has submitted nothing"
    assert sampling.began_at() == 0
    assert_same_bytes(half, local, CANDIDATES)


def test_snakemake_is_killed_and_its_job_runs_on(slurm, half, local, sampling, begin):
    """Unlocked too early, no second job starts; after the documented steps sampling goes on."""
    half.replace(SCRIPT, START, HELD + START)
    (half.folder / "hold").touch()
    process = begin("--", CANDIDATES)
    sampling.wait_until_saved(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "Directory cannot be locked" in half.run("--", CANDIDATES).stderr
    listed = slurm.ask("squeue", "--me", "--noheader", "-o", "%i %T %M %k").split()
    assert listed[1] == "RUNNING"
    assert "sample_candidates" in listed[3]
    half.make("--unlock")
    refused = half.run("--retries", "0", "--", CANDIDATES)
    assert refused.returncode == 1
    line = r"^error: results/\.resume/sample_candidates,\S+: found another job at work in it "
    assert re.search(rf"{line}.*, Slurm job {listed[0]}\)", refused.stderr, re.M)
    kept = sampling.saved()
    assert kept == 1, "the first still runs, and nothing of it is gone"
    slurm.tell("scancel", listed[0])
    (half.folder / "hold").unlink()
    wait_until(lambda: not slurm.ask("squeue", "--noheader"), "an empty queue")
    half.make("--", CANDIDATES)
    assert kept <= sampling.began_at() < 10
    assert states(slurm.jobs(half.folder)) == ["CANCELLED", "FAILED", "COMPLETED"]
    assert_same_bytes(half, local, CANDIDATES)
