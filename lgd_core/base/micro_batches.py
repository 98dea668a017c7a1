"""Batches cut to what fits into a device's memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from lgd_core.base.errors import TransientError


class MicroBatches:
    """The number of samples that each kind of work processes at once.

    It starts at ``largest``, is halved when memory runs out, and is then kept. Each kind of work
    has its own number, by its name: for one sample, a gradient through the decoder needs far more
    memory than a forward pass of the transformer.
    """

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.found: dict[str, int] = {}

    def map(self, work: str, function: Callable[..., Tensor], *batch: Tensor) -> Tensor:
        """Return ``function(*batch)``, called on chunks of the first axis and joined along it.

        Raises TransientError if a single sample does not fit.
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
            raise TransientError(f"{work}: the GPU's memory is too small for a batch of 1 image")
        self.found[work] = tried // 2
        torch.cuda.empty_cache()


def _unless_memory_runs_out(function: Callable[..., Tensor], chunk: list[Tensor]) -> Tensor | None:
    # A function of its own: the error keeps the failed call's tensors alive until it is dropped.
    try:
        return function(*chunk)
    except torch.OutOfMemoryError:
        return None
