"""Progress bars on a terminal, and a progress line every few seconds in a job's log.

A run that is watched shows the lines of the logs itself, see watching; its jobs draw no bars.
"""

import os
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from tqdm import tqdm

from lgd_core.base.watching import WATCHED

LOG_SECONDS = 5.0


class Bar(Protocol):
    """A progress bar: the part of tqdm that is used here."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def update(self, n: float = 1) -> object: ...

    def set_postfix(self, *, refresh: bool = True, **facts: Any) -> None: ...


class _Output:
    """The file that tqdm writes to: a bar on the terminal, if any, and lines for the log."""

    def __init__(self) -> None:
        terminal = None if os.environ.get(WATCHED) else sys.__stderr__
        self.terminal = terminal if terminal is not None and terminal.isatty() else None
        self.log = sys.stderr
        self.last = -LOG_SECONDS

    def write(self, text: str) -> None:
        if self.terminal is not None:
            self.terminal.write(text)
        line, now = text.strip("\r\n "), time.monotonic()
        if line and (now - self.last >= LOG_SECONDS or "100%" in line):
            self.log.write(line + "\n")
            self.last = now

    def flush(self) -> None:
        self.log.flush()
        if self.terminal is not None:
            self.terminal.flush()


def progress(description: str, total: int, initial: int = 0) -> Bar:
    """Return a progress bar; the log gets a line every few seconds, with rate and time left."""
    return tqdm(
        desc=description,
        total=total,
        initial=initial,
        file=_Output(),
        mininterval=0.5,
        maxinterval=LOG_SECONDS,
        ncols=100,
        ascii=True,
    )
