"""Folders that one process uses at a time, on one host or on several that share a file system.

A lock of the operating system would not do: not all network file systems have it. The owner puts
a file into the folder's place for one, and renews the file's time of change. All times are those of
the file system, so that hosts need not agree about the time.

The place is a folder, which is put there with the file in it by one renaming: it succeeds where
there is none or an empty one. Each file has a name of its own. So of several processes that find an
owner to have ended, none can remove the file of another that was faster.
"""

import contextlib
import errno
import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from lgd_core.base.errors import TransientError
from lgd_core.base.files import file_system_time, naming, remove
from lgd_core.base.processes import UNKNOWN, host, started

NAME = "owner"
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
    left = threading.Event()
    file, taken = _take(folder, this_process(), log)
    renewal = threading.Thread(target=_renew, args=(file, left), daemon=True)
    renewal.start()
    try:
        yield taken
    finally:
        left.set()
        renewal.join()
        _leave(folder, file)


def owner_of(folder: Path) -> Owner | None:
    """Return the owner of a folder, whether it still runs or not; None if there is none."""
    return next((_read(file) for file in _files(folder)), None)


def clear(folder: Path) -> None:
    """Delete what is in a folder but its owner's file, as far as the system allows."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name != NAME:
                remove(path)


def _take(folder: Path, own: Owner, log: Callable[[str], None]) -> tuple[Path, str]:
    """Return the owner's file, and the line about the owner before."""
    taken = ""
    while (file := _put(folder, own)) is None:
        for other in _files(folder):
            owner = _read(other)
            if _living(folder, other, owner, own, log):
                raise TransientError(
                    f"{folder}: found another job at work in it ({owner or 'unknown'}), expected "
                    "none; wait until that job has ended or end it, then run again"
                )
            with contextlib.suppress(FileNotFoundError):  # it has left, or another job was faster
                other.unlink()
                taken = f"{folder}: taken over, its job has ended ({owner or 'unknown'})"
    return file, taken


def _put(folder: Path, own: Owner) -> Path | None:
    """Put the owner's file in its place and return it; None if another's is there."""
    name = secrets.token_hex(8)
    file, made = folder / NAME / f"{name}.json", folder / f".{NAME}.{name}"
    with naming(file, made):
        try:
            made.mkdir(parents=True)
            (made / file.name).write_text(json.dumps(asdict(own)))
            made.rename(file.parent)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            remove(made)
    return file if file.exists() else None  # NFS may report a renaming that it has done as failed


def _files(folder: Path) -> list[Path]:
    """Return the file of a folder's owner, if it has one."""
    with contextlib.suppress(FileNotFoundError):
        return list((folder / NAME).iterdir())
    return []


def _read(file: Path) -> Owner | None:
    """Return the owner; None if the file is gone or damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Owner(**json.loads(file.read_text()))
    return None


def _living(
    folder: Path, file: Path, owner: Owner | None, own: Owner, log: Callable[[str], None]
) -> bool:
    """Whether the owner of a folder still runs."""
    if owner is None:
        return _renewed(folder, file, "unknown", log)
    if owner.host == own.host:
        return started(owner.process) in (owner.started, UNKNOWN)
    return not owner.restarted_as(own) and _renewed(folder, file, str(owner), log)


def _renewed(folder: Path, file: Path, owner: str, log: Callable[[str], None]) -> bool:
    """Whether a file is renewed before it has been the same for SILENT_SECONDS."""
    seen = _changed(file)
    if seen is None:
        return False
    silent = max(0.0, file_system_time(folder) - seen)
    if silent < SILENT_SECONDS:
        log(f"{folder}: waiting {SILENT_SECONDS - silent:.0f} s for a sign of {owner}")
    # Counted, not timed: while this process is suspended, its owner's silence is not seen either.
    for _ in range(math.ceil((SILENT_SECONDS - silent) / POLL_SECONDS)):
        time.sleep(POLL_SECONDS)
        if (now := _changed(file)) != seen:
            return now is not None
    return False


def _changed(file: Path) -> float | None:
    """Return when a file was changed; None if it is gone."""
    with contextlib.suppress(FileNotFoundError), open(file) as stream:
        return os.fstat(stream.fileno()).st_mtime  # NFS asks its server only when a file is opened
    return None


def _renew(file: Path, left: threading.Event) -> None:
    while not left.wait(RENEW_SECONDS):
        with contextlib.suppress(OSError):  # the next renewal may succeed
            os.utime(file)


def _leave(folder: Path, file: Path) -> None:
    """Remove the owner's file, and the folder if nothing else is in it."""
    with contextlib.suppress(OSError):
        file.unlink()
        file.parent.rmdir()
        folder.rmdir()
