"""Signals that ask a job to stop: noted first, obeyed when its state has been saved."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Within this time a signal is the first one once more: Slurm sends it to every process of a job,
# and its own tools pass it on as well.
ECHO_SECONDS = 1.0


class Stopped(BaseException):
    """The end of a job that a signal asked for. No Exception, so nothing handles it as an error."""

    def __init__(self, number: signal.Signals, saved: Path | None) -> None:
        kept = "nothing to save" if saved is None else f"saved {saved}"
        super().__init__(f"stopped by {number.name}: {kept}")
        self.status = 128 + number


class StopRequest:
    """Whether a signal has asked this process to stop.

    ``resumable`` is set once the work has begun of which checkpoints keep the state. Before that a
    signal ends the process at once.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.resumable = False
        self._noted = 0.0
        self._process = os.getpid()

    @contextlib.contextmanager
    def heeded(self) -> Generator[None, None, None]:
        """Note signals until the block ends, apart from those that the process ignores.

        Raises Stopped if there is nothing to save, and at a second signal.
        """
        heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def obey(self, saved: Path) -> None:
        """Raise Stopped if a signal was noted; ``saved`` is the file that has the state."""
        if self.signal is not None:
            raise Stopped(self.signal, saved)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker that has just been forked
        now, again = time.monotonic(), self.signal is not None
        if again and now - self._noted < ECHO_SECONDS:
            return
        self.signal, self._noted = signal.Signals(number), now
        if again:
            for other in SIGNALS:
                signal.signal(other, signal.SIG_DFL)  # a third one needs no help from Python
        if again or not self.resumable:
            raise Stopped(self.signal, None)


@contextlib.contextmanager
def postponed() -> Generator[None, None, None]:
    """Postpone signals to stop until the block ends; processes forked in it never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey_parent_alone(_: int) -> None:
    """Let a worker that was forked in ``postponed`` end by a signal of its parent.

    Signals of others are often meant for all processes of a job, but the job needs its workers
    until it has saved its state.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo(SIGNALS).si_pid != os.getppid():
        pass
    os._exit(0)
