"""Images of a data set before they are written as arrays, and holding out a share of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.config.data_kinds import Wanted


@dataclass(frozen=True)
class Part:
    """Images of a source and their labels, int64 (N,); ``read`` may raise BrokenFileError.

    ``families``, (N,) strings: images of the same family must stay in the same split. ``files``,
    (N,) byte strings: the path of every image under the root of the source, if it is a file.
    """

    labels: np.ndarray
    read: Callable[[int], Image.Image]
    families: np.ndarray | None = None
    files: np.ndarray | None = None

    def take(self, rows: Tensor) -> "Part":
        """Return a part with some of the rows."""
        families = None if self.families is None else self.families[rows]
        files = None if self.files is None else self.files[rows]
        return Part(self.labels[rows], lambda number: self.read(int(rows[number])), families, files)

    def split(self, fraction: float, *key: int | str) -> tuple["Part", "Part"]:
        """Return (kept, held out): a fraction of every class or, with families, whole families."""
        if self.families is None:
            kept, held = hold_out(torch.from_numpy(self.labels), fraction, *key)
        else:
            kept, held = hold_out_families(self.families, fraction, *key)
        return self.take(kept), self.take(held)


def hold_out(labels: Tensor, fraction: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices, sorted: the same fraction of every class, by key."""
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator("hold-out", *key, label))
        held[rows[order[: round(fraction * len(rows))]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def hold_out_families(
    families: np.ndarray, fraction: float, *key: int | str
) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices, holding out whole families: on average a fraction.

    Whether a family is held out depends on the key and its name, not on the other families.
    """
    names, members = np.unique(families, return_inverse=True)
    draws = [torch.rand((), generator=generator("hold-out", *key, name)) for name in names]
    held = (torch.stack(draws) < fraction)[torch.from_numpy(members)]
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def in_memory(name: str, data: Wanted[Any], images: np.ndarray, labels: np.ndarray) -> Part:
    """Return grey images (N, H, W) in memory as a part; raises UserError for another shape."""
    image, classes = data.image, data.classes
    expected = (image.channels, image.size, image.size)
    if (1, *images.shape[1:]) != expected:
        raise UserError(f"{name}: found images of {(1, *images.shape[1:])}, expected {expected}")
    if len(np.unique(labels)) != len(classes):
        raise UserError(f"{name}: found {len(np.unique(labels))} classes, expected {len(classes)}")
    return Part(labels, lambda number: Image.fromarray(images[number]))
