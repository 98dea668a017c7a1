"""Which GPU a job has: Snakemake counts the cards of a machine, a lease says whose each one is."""

import contextlib
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from lgd_core.errors import UserError

POLL_SECONDS = 0.5


def has_gpu() -> bool:
    """Whether the driver lists a GPU; asked without torch, which takes seconds to import."""
    with contextlib.suppress(OSError):
        return b"GPU " in subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout
    return False


def lease_folder() -> Path:
    """Return where all jobs of this user on this machine, of whatever run, keep their leases."""
    return Path(tempfile.gettempdir()) / f"lgd-gpus-{os.getuid()}"


@contextlib.contextmanager
def lease(cards: Sequence[str], folder: Path, log: Callable[[str], None]) -> Iterator[int]:
    """Hold a card that no other job holds and yield its index in ``cards``, waiting if need be.

    ``cards`` are names that mean the same card in every process. Each has a lock file in ``folder``
    that is never removed: the lock is the operating system's hold on the open file (flock), which
    ends with the process however it ends, so that a killed job leaves no card taken.

    Raises UserError if ``folder`` cannot be made or belongs to somebody else.
    """
    _claim(folder)
    locks = [FileLock(folder / f"{card}.lock") for card in cards]
    index = _wait_for_one(locks, log)
    try:
        yield index
    finally:
        locks[index].release()


def _wait_for_one(locks: Sequence[FileLock], log: Callable[[str], None]) -> int:
    index = _take_free(locks)
    if index is None:
        log(f"waiting for a GPU: other jobs hold all {len(locks)}")
    while index is None:
        time.sleep(POLL_SECONDS)
        index = _take_free(locks)
    return index


def _take_free(locks: Sequence[FileLock]) -> int | None:
    """Lock the first that is free and return its index; None if there is none."""
    for index, lock in enumerate(locks):
        with contextlib.suppress(Timeout):
            lock.acquire(blocking=False)
            return index
    return None


def _claim(folder: Path) -> None:
    """Make the folder, closed to others: whoever can write there could hold up all jobs."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        facts = folder.lstat()  # not stat: a link may lead anywhere
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise UserError(f"{folder}: found another user's or no folder, expected one of your own")
    folder.chmod(0o700)
