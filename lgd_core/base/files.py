"""Files that are complete or absent: written under a temporary name, synced and renamed.

Free of PyTorch, since configuration and figures write files too.
"""

import contextlib
import glob
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from lgd_core.base.digests import files_in, seal, unseal
from lgd_core.base.errors import UserError
from lgd_core.base.processes import host, started, temporary_beside
from lgd_core.base.system_errors import patient, remedy, system_error

# A temporary of another host is removed when it has not been changed for so long.
DAY = 24 * 3600.0


@contextlib.contextmanager
def atomic(path: str | Path) -> Generator[Path, None, None]:
    """Yield a temporary path beside ``path`` (file or folder) and rename it there on success.

    On any error the temporary is removed and ``path`` stays as it was. Temporaries of killed
    processes are removed too, those of other hosts after a day. Before the renaming, the contents
    are synced to the disk. Raises UserError as ``naming`` does.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    with naming(path, temporary):
        try:
            patient(path.parent.mkdir)(parents=True, exist_ok=True)
            for left_behind in _abandoned(path):
                remove(left_behind)
            yield temporary
            _sync(temporary)
            if temporary.is_dir() and path.is_dir():
                shutil.rmtree(path)
            patient(os.replace)(temporary, path)
            _sync_names(path.parent)
        finally:
            remove(temporary)


@contextlib.contextmanager
def naming(path: Path, temporary: Path) -> Generator[None, None, None]:
    """Raise UserError naming the file and a remedy for what the operating system refuses.

    That is ``path``, to which ``temporary`` will be renamed, on a full disk or in a folder that
    cannot be written, and otherwise the file that the body cannot use.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        system = system_error(error)
        # Errors of libraries and the network pass on.
        if system is None or isinstance(system, ConnectionError | TimeoutError):
            raise
        raise _failure(path, temporary, system) from error


def _failure(path: Path, temporary: Path, error: OSError) -> UserError:
    """Return the UserError for the file at fault: the one being written, or one the body used."""
    file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    own = file.absolute()
    if own.is_relative_to(temporary.absolute()) or path.absolute().is_relative_to(own):
        return UserError(f"{path}: cannot be written ({error.strerror}); {remedy(error)}")
    return UserError(f"{file}: {error.strerror}; {remedy(error)}")


def _sync(path: Path) -> None:
    """Sync a file, or a folder with its contents, to the disk: a crash cannot truncate it."""
    if path.is_dir():
        os.sync()  # one sync for all: syncing the thousands of files of a set singly is slow
    else:
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())


def _sync_names(folder: Path) -> None:
    """Sync the names in a folder to the disk."""
    with contextlib.suppress(OSError):  # some network file systems cannot, and do not need it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _abandoned(path: Path) -> list[Path]:
    """Return temporaries of ``path`` to which no process writes any more."""
    named = re.compile(rf"\.{re.escape(path.name)}\.([^.]+)\.(\d+)")
    found = path.parent.glob(f".{glob.escape(path.name)}.*")
    own = [(p, match) for p in found if (match := named.fullmatch(p.name))]
    return [p for p, match in own if _is_left(p, match[1], int(match[2]))]


def _is_left(temporary: Path, writer: str, process: int) -> bool:
    """Whether the process that writes a temporary has ended; of another host after a day."""
    if writer == host():
        return started(process) is None
    return file_system_time(temporary.parent) - _last_change(temporary) > DAY


def _last_change(path: Path) -> float:
    """Return when a file, or anything in a folder, was changed; infinity if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        return max(part.lstat().st_mtime for part in (path, *path.rglob("*")))
    return math.inf


def file_system_time(folder: Path) -> float:
    """Return the time by which changes of files in a folder are dated; hosts may have another."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as probe:
        os.utime(probe.name)
        return os.stat(probe.name).st_mtime


def remove(path: Path) -> None:
    """Delete a file or a folder as far as the system allows."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def share(path: str | Path) -> None:
    """Give a file, or each file in a folder, the read and write permissions of its folder.

    safetensors makes files that only their owner can read, whatever the umask is.
    """
    for file in files_in([path]):
        file.chmod(file.parent.stat().st_mode & 0o666)


@patient
def write_json(path: str | Path, value: dict[str, Any]) -> None:
    """Write a JSON artifact atomically: indented, with its digest and a final newline."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(seal(value), indent=2) + "\n")


@patient
def read_json(path: str | Path) -> dict[str, Any]:
    """Read what write_json wrote; raises UserError naming the file if it is missing or damaged."""
    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: found broken JSON ({error}); delete it and run again") from error
    return unseal(path, value)


def scratch(beside: str | Path) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder on the same file system as ``beside``."""
    Path(beside).parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=Path(beside).parent, prefix=".")
