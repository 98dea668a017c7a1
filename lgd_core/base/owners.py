"""Folders that one process uses at a time, on one host or on several that share a file system.

A lock of the operating system would not do: not all network file systems have it. The owner writes
a file into its folder and renews the file's time of change. All times are those of the file system,
so that hosts need not agree about the time.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from lgd_core.base.errors import TransientError
from lgd_core.base.files import file_system_time, naming
from lgd_core.base.processes import UNKNOWN, host, started

NAME = "owner.json"
# How often Slurm has restarted a job: its own variable, and ours, which srun passes on as well.
SLURM_RESTARTS, RESTARTS = "SLURM_RESTART_COUNT", "LGD_RESTARTS"
RENEW_SECONDS = 20.0
# An owner on another host that has not renewed its file for so long has ended.
SILENT_SECONDS = 180.0
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Owner:
    """A process; ``slurm_job`` is empty outside of Slurm, which may restart a job elsewhere."""

    host: str
    process: int
    started: int
    slurm_job: str
    restarts: int

    def __str__(self) -> str:
        within = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.process} on {self.host}{within}"

    def restarted_as(self, other: "Owner") -> bool:
        """Whether Slurm has ended this process and put its job back into the queue."""
        same = self.slurm_job and self.slurm_job == other.slurm_job
        return bool(same) and self.restarts < other.restarts


def this_process() -> Owner:
    """Return the process that asks."""
    process, env = os.getpid(), os.environ
    job, restarts = env.get("SLURM_JOB_ID", ""), int(env.get(RESTARTS) or 0)
    return Owner(host(), process, started(process) or UNKNOWN, job, restarts)


def pass_restarts_on() -> None:
    """Tell jobs how often Slurm has restarted this one; called where Slurm itself says so.

    The plugin for Slurm starts the processes of a job by srun, without most of Slurm's variables.
    """
    if SLURM_RESTARTS in os.environ:
        os.environ[RESTARTS] = os.environ[SLURM_RESTARTS]


@contextlib.contextmanager
def owning(folder: Path, log: Callable[[str], None]) -> Generator[str, None, None]:
    """Own a folder until the block ends; yield a line about an owner that ended without leaving.

    The line is empty if there was none. Whether an owner on another host has ended may take
    SILENT_SECONDS to know; the log says so. Raises TransientError if the owner is a living process.
    """
    path, own, left = folder / NAME, this_process(), threading.Event()
    taken = _take(path, own, log)
    renewal = threading.Thread(target=_renew, args=(path, own, left), daemon=True)
    renewal.start()
    try:
        yield taken
    finally:
        left.set()
        renewal.join()
        _leave(path, own)


def _take(path: Path, own: Owner, log: Callable[[str], None]) -> str:
    taken = ""
    while not _written(path, own):
        owner = _read(path)
        if _living(path, owner, own, log):
            raise TransientError(
                f"{path.parent}: found another job at work in it ({owner or 'unknown'}), expected "
                "none; wait until that job has ended or end it, then run again"
            )
        taken = f"{path.parent}: taken over, its job has ended ({owner or 'unknown'})"
        if _read(path) == owner:  # another job may have been faster
            path.unlink(missing_ok=True)
    return taken


def _written(path: Path, own: Owner) -> bool:
    """Write the owner's file; False if there is one."""
    with naming(path, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            stream = open(path, "x")  # noqa: SIM115  # exclusive on network file systems too
        except FileExistsError:
            return False
        try:
            with stream:
                json.dump(asdict(own), stream)
        except OSError:  # a full disk: an empty file would be that of an unknown owner
            path.unlink(missing_ok=True)
            raise
    return True


def _read(path: Path) -> Owner | None:
    """Return the owner; None if the file is gone or damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads(path.read_text()))
    return None


def _living(path: Path, owner: Owner | None, own: Owner, log: Callable[[str], None]) -> bool:
    """Whether the owner of a folder still runs."""
    if owner is None:
        return _renewed(path, "unknown", log)
    if owner.host == own.host:
        return started(owner.process) in (owner.started, UNKNOWN)
    return not owner.restarted_as(own) and _renewed(path, str(owner), log)


def _renewed(path: Path, owner: str, log: Callable[[str], None]) -> bool:
    """Whether a file is renewed before it has been the same for SILENT_SECONDS."""
    seen = _changed(path)
    if seen is None:
        return False
    silent = max(0.0, file_system_time(path.parent) - seen)
    if silent < SILENT_SECONDS:
        log(f"{path.parent}: waiting {SILENT_SECONDS - silent:.0f} s for a sign of {owner}")
    end = time.monotonic() + SILENT_SECONDS - silent
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        if (now := _changed(path)) != seen:
            return now is not None
    return False


def _changed(path: Path) -> float | None:
    """Return when a file was changed; None if it is gone."""
    with contextlib.suppress(FileNotFoundError), open(path) as stream:
        return os.fstat(stream.fileno()).st_mtime  # NFS asks its server only when a file is opened
    return None


def _renew(path: Path, own: Owner, left: threading.Event) -> None:
    while not left.wait(RENEW_SECONDS):
        with contextlib.suppress(OSError):  # the next renewal may succeed
            if _read(path) == own:
                os.utime(path)


def _leave(path: Path, own: Owner) -> None:
    """Remove the owner's file, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        if _read(path) == own:
            path.unlink()
            path.parent.rmdir()
