"""Real images behind the candidates of an increment: one of its own for every candidate."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lgd_core.data.real_images import RealImages, shuffled_class
from lgd_core.data.streams import StoredPixels


@dataclass(frozen=True)
class RealPool:
    """Training images as they are stored, and the order in which each class's are used.

    A class is shuffled by (seed, class), as for random real images: candidate j of position p, over
    all increments, has the image in place ``p x candidates + j``. So no image is used twice, and
    none that increment 0 of random real images has is used by a later increment.
    """

    images: StoredPixels
    order: dict[int, Tensor]
    candidates: int

    @classmethod
    def of(
        cls, real: RealImages, classes: Sequence[int], candidates: int, last: int, seed: int | str
    ) -> "RealPool":
        """Return the pool of some classes for positions up to ``last``.

        Raises UserError if a class has too few images.
        """
        images, labels = real.split("originals")
        order: dict[int, Tensor] = {}
        for label in classes:
            purpose = f"{candidates} candidates of each of {last + 1} positions"
            needed = (last + 1) * candidates
            order[label] = shuffled_class(labels, label, needed, purpose, seed)
        return cls(images, order, candidates)

    def of_candidates(self, keys: Sequence[tuple[int, int, int]]) -> Tensor:
        """Return the images, uint8 (B, C, H, W), of (class, position, candidate)."""
        rows = [
            self.order[label][position * self.candidates + candidate]
            for label, position, candidate in keys
        ]
        return self.images[torch.stack(rows)]
