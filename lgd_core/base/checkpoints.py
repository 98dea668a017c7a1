"""Checkpoints of running jobs, and training loops that resume from them."""

import errno
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from lgd_core.base.digests import digest
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.stopping import StopRequest
from lgd_core.base.system_errors import patient, remedy, system_error


class Stateful(Protocol):
    """An object with a state to save and restore: a model, an optimiser or a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


class Checkpoint:
    """State of one running job, kept outside its declared outputs.

    The folder's name depends on everything that decides the job's result, so a job with an edited
    hyperparameter never resumes from an old checkpoint. ``Checkpoint(None)`` keeps nothing.

    After a signal to stop, ``due`` is true at once, and ``save`` ends the job by raising Stopped.
    """

    def __init__(
        self, folder: str | Path | None, interval: float = 60.0, stop: StopRequest | None = None
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.interval = interval
        self.stop = stop or StopRequest()
        self._saved = time.monotonic()

    def part(self, name: str) -> "Checkpoint":
        """Return a checkpoint for one part of the job, separate from those of its other parts."""
        folder = None if self.folder is None else self.folder / name
        return Checkpoint(folder, self.interval, self.stop)

    def due(self) -> bool:
        """Whether ``interval`` seconds have passed since the last save, or the job is to stop."""
        return self.stop.signal is not None or time.monotonic() - self._saved >= self.interval

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Save a nested dict of tensors and plain values under ``name``, atomically."""
        if self.folder is None:
            return
        path = self.folder / f"{name}.pt"
        _write(path, state)
        self._saved = time.monotonic()
        self.stop.obey(path)

    def load(self, name: str, *keys: str) -> dict[str, Any] | None:
        """Return what was saved under ``name`` with at least these keys, or None.

        A file that is damaged, is no checkpoint or lacks a key is deleted, and the log says so: the
        work then starts from the beginning. Raises UserError if the system refuses to read it.
        Never unpickles objects. From now on a signal to stop waits until the work is saved.
        """
        self.stop.resumable = True
        path = None if self.folder is None else self.folder / f"{name}.pt"
        if path is None or not path.exists():
            return None
        try:
            kept = _read(path)
            state = kept["state"]
            if kept["digest"] == digest(state) and set(keys) <= set(state):
                return state
            reason = "contents do not match"
        except UserError:
            raise
        except Exception as error:  # damaged bytes make torch raise almost anything
            reason = type(error).__name__
        print(f"{path}: found a broken checkpoint ({reason}), dropped", file=sys.stderr)
        path.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Delete everything, once the work has its result."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@patient
def _write(path: Path, state: dict[str, Any]) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        torch.save({"state": state, "digest": digest(state)}, stream)


@patient
def _read(path: Path) -> Any:
    """Read a file; raises UserError if the system refuses, other errors for damaged bytes."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        system = system_error(error)
        # Nonsense in damaged files is an invalid argument to the system.
        if system is None or system.errno == errno.EINVAL:
            raise
        said = f"cannot be read ({system.strerror}); {remedy(system)}"
        raise UserError(f"{path}: {said}") from error


def resumable_loop(
    parts: Mapping[str, Stateful],
    train_step: Callable[[int], float],
    steps: int,
    name: str,
    checkpoint: Checkpoint,
) -> float:
    """Call ``train_step`` for every remaining step; return the mean of the last losses.

    ``parts`` are all models, optimisers and schedules that a step changes. They are restored before
    the first step and saved whenever a checkpoint is due. The mean is over the last hundredth of
    the steps. Raises UserError if a loss is not finite.
    """
    state = checkpoint.load(name, *parts, "step", "losses") or {"step": 0, "losses": []}
    for key in parts.keys() & state.keys():
        parts[key].load_state_dict(state[key])
    losses = state["losses"]
    with progress(name, steps, state["step"]) as bar:
        for step in range(state["step"], steps):
            losses = [*losses, train_step(step)][-max(1, steps // 100) :]
            require_finite(losses[-1], f"{name}: loss of step {step}", "a lower lr")
            bar.set_postfix(loss=f"{sum(losses) / len(losses):.4f}", refresh=False)
            bar.update()
            if checkpoint.due() or step + 1 == steps:
                states = {key: part.state_dict() for key, part in parts.items()}
                checkpoint.save(name, states | {"step": step + 1, "losses": losses})
    return sum(losses) / len(losses)
