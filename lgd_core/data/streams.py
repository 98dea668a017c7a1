"""Images that are decoded from their files whenever they are read, in parallel processes.

A data set with ``source.stream`` has an index of its training files in place of their array.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lgd_core.base.decoding import decode, fit
from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.stopping import obey_parent_alone, postponed

# Images that a process decodes before it takes the next ones; two such parts per process wait.
CHUNK = 32

# Decoded images of a chunk, or the error of the first file that cannot be read.
Decoded = NDArray[np.uint8] | UserError


class ImageFiles:
    """Images of a split as files: ``files`` (N,) are byte strings, relative to ``root``.

    Images are read at ``size``, uint8 (C, size, size), as arrays of a data set hold them.
    ``workers`` processes decode; 0 decodes in the process that asks. Reading raises UserError
    naming a file that is gone or broken.
    """

    def __init__(
        self, root: Path, files: NDArray[np.bytes_], channels: int, size: int, workers: int = 0
    ) -> None:
        self.root = root
        self.files = files
        self.shape = (len(files), channels, size, size)
        self.workers = workers

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the images of some rows (N,), uint8 (N, C, H, W)."""
        return next(self.batches([rows]))

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each part's rows; the next ones are decoded in the meantime."""
        chunks = [chunk.tolist() for part in parts for chunk in part.split(CHUNK)]
        with postponed():
            decoded = iter(self._loader(chunks))
        for part in parts:
            found = [_checked(next(decoded)) for _ in part.split(CHUNK)]
            yield torch.from_numpy(np.concatenate(found))

    def _loader(self, chunks: list[list[int]]) -> "DataLoader[Any]":
        # No worker without a chunk of its own: each is a process.
        workers = min(self.workers, len(chunks) - 1)
        # Arrays as they are go through pipes; tensors would need shared memory, of which containers
        # have little. Its annotation knows batches that are lists alone.
        same = cast(Any, _same)
        return DataLoader(
            _Files(self),
            batch_sampler=chunks,
            num_workers=max(0, workers),
            collate_fn=same,
            worker_init_fn=obey_parent_alone,
            # Its own, or the loader would draw from the generator that everything shares.
            generator=torch.Generator(),
        )

    def decode(self, rows: list[int]) -> Decoded:
        """Return images decoded one after another, or the error of the first that fails."""
        _, channels, size, _ = self.shape
        try:
            paths = (self.root / os.fsdecode(bytes(self.files[row])) for row in rows)
            images = [fit(decode(path, channels), size) for path in paths]
            return np.array(images, np.uint8).reshape(-1, *self.shape[1:])
        except BrokenFileError as error:
            return UserError(f"{error}, as when the data set was prepared")
        except UserError as error:
            return error


class _Files(Dataset[Any]):
    """The dataset that PyTorch's loader expects; a batch is a chunk of rows."""

    def __init__(self, images: ImageFiles) -> None:
        self.images = images

    def __getitems__(self, rows: list[int]) -> Decoded:
        return self.images.decode(rows)


def _same(decoded: Decoded) -> Decoded:
    return decoded


def _checked(decoded: Decoded) -> NDArray[np.uint8]:
    # Errors travel as values: the loader would add a traceback to the one line.
    if isinstance(decoded, UserError):
        raise decoded
    return decoded


# Images of a split in memory or memory-mapped, uint8 (N, C, H, W), or as files.
StoredPixels = Tensor | ImageFiles


def in_batches(images: StoredPixels, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the images of each part's rows, uint8 (N, C, H, W); files are decoded ahead."""
    if isinstance(images, ImageFiles):
        yield from images.batches(parts)
    else:
        for rows in parts:
            yield images[rows]
