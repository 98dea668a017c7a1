"""Batches cut to what a device can hold."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgd_core.base.errors import UserError


class MicroBatches:
    """How many samples each kind of work takes at once: halved where memory runs out, remembered.

    ``largest`` is tried first. The work is told apart by its name, since a decoder's gradient needs
    far more memory for a sample than a forward of the transformer.
    """

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.found: dict[str, int] = {}

    def map(self, work: str, function: Callable[..., Tensor], *batch: Tensor) -> Tensor:
        """Return ``function(*batch)``, called on chunks of the first axis and joined along it.

        Raises UserError where a single sample does not fit.
        """
        parts: list[Tensor] = []
        start = 0
        while start < len(batch[0]):
            size = self.found.get(work, self.largest)
            chunk = [tensor[start : start + size] for tensor in batch]
            part = _unless_memory_runs_out(function, chunk)
            if part is None:
                self._halve(work, len(chunk[0]))
                continue
            parts.append(part)
            start += size
        return torch.cat(parts)

    def _halve(self, work: str, tried: int) -> None:
        if tried == 1:
            raise UserError(f"{work}: the GPU's memory is too small for a batch of 1 image")
        self.found[work] = tried // 2
        torch.cuda.empty_cache()


def _unless_memory_runs_out(function: Callable[..., Tensor], chunk: list[Tensor]) -> Tensor | None:
    # In a function of its own: the error holds the failed call's tensors until it is forgotten.
    try:
        return function(*chunk)
    except torch.OutOfMemoryError:
        return None
