"""Leases of GPUs: Snakemake only counts the cards of a machine, a lease gives a job one of them.

Does not import PyTorch, which takes seconds: every call of Snakemake and every job imports this.
"""

import contextlib
import ctypes
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from lgd_core.base.errors import UserError

POLL_SECONDS = 0.5


def has_gpu() -> bool:
    """Whether torch can use a GPU: as ``torch.cuda.is_available``, without importing torch."""
    return not why_no_gpu()


def why_no_gpu() -> str:
    """Return in words why jobs have no GPU; empty if torch can use one.

    Torch must be built for CUDA, with a driver that is new enough and a card that is visible.
    """
    needed, (version, cards) = _torch_cuda(), _driver()
    if cards and 0 < needed <= version:
        return ""
    if not cards and not _listed():
        return "no GPU on this machine"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not needed:
        reason = "the installed torch has no CUDA"
    elif cards:
        reason = f"its driver has CUDA {version} and the installed torch needs {needed}"
    elif visible is not None:
        reason = f"CUDA_VISIBLE_DEVICES is '{visible}'"
    else:
        reason = "its driver does not work"
    return f"a GPU is there, but {reason}"


def _torch_cuda() -> int:
    """Return the major version of CUDA that the installed torch is built for; 0 if for none."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return 0
    text = Path(spec.origin).with_name("version.py").read_text()
    match = re.search(r"^cuda\b.*?= *'(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0


def _driver() -> tuple[int, int]:
    """Return the driver's major version of CUDA and the number of visible cards; 0 for none."""
    version, cards = ctypes.c_int(), ctypes.c_int()
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0, 0
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(cards)):
        return 0, 0
    driver.cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000, cards.value


def _listed() -> bool:
    """Whether ``nvidia-smi`` lists a GPU."""
    with contextlib.suppress(OSError):
        return b"GPU " in subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout
    return False


def lease_folder() -> Path:
    """Return the folder of leases, one for all runs of this user on this machine."""
    return Path(tempfile.gettempdir()) / f"lgd-gpus-{os.getuid()}"


@contextlib.contextmanager
def lease(
    cards: Sequence[str], folder: Path, log: Callable[[str], None]
) -> Generator[int, None, None]:
    """Wait for a card that no other job holds, hold it and yield its index in ``cards``.

    ``cards`` are names that mean the same card in every process. Each has a lock file in
    ``folder``, which is never removed. The lock itself is a flock on the open file: the operating
    system drops it when the process ends, so a killed job frees its card.

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
    """Take the first lock that is free and return its index; None if all are taken."""
    for index, lock in enumerate(locks):
        with contextlib.suppress(Timeout):
            lock.acquire(blocking=False)
            return index
    return None


def _claim(folder: Path) -> None:
    """Make the folder, for this user only: anybody who can write to it could block all jobs."""
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        facts = folder.lstat()  # not stat: a link may lead anywhere
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise UserError(f"{folder}: found another user's or no folder, expected one of your own")
    folder.chmod(0o700)
