"""Logs of jobs."""

import io
from pathlib import Path


class _Lossy(io.FileIO):
    """A file that swallows what cannot be written to it."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data)  # pyright: ignore[reportArgumentType]
        except OSError:
            return memoryview(data).nbytes  # pyright: ignore[reportArgumentType]


def open_log(path: Path) -> io.TextIOWrapper:
    """Open a log to add lines to it; raises OSError if it cannot be opened.

    On a full disk lines are lost, but printing them raises no error: the error that the job ends
    with must be the one of its own work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return io.TextIOWrapper(io.BufferedWriter(_Lossy(path, "a")), line_buffering=True)
