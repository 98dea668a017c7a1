"""What is drawn for an increment and how, and how it is divided into rounds and batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import torch
from torch import Tensor

from lgd_core.config.kinds import guidance_kinds
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.diffusion.sampler import Sampling

# Class, position and candidate.
Keys = list[tuple[int, int, int]]


@dataclass(frozen=True)
class IncrementSpec:
    """One increment, or one shard of its classes: what to draw and how.

    ``classes`` are the labels of the shard, ``prior_labels`` the prior's labels of all classes of
    the data set. ``key`` is (seed, increment). ``classes_per_batch`` classes share a batch; None
    means all. ``first_position`` is the number of images per class in earlier increments; it does
    not depend on ``positions``. The last ``real_candidates`` of a position are real images, with
    ``through_autoencoder`` as the prior's gives them back. ``guidance`` has the settings of every
    active guidance by name. ``select`` names the rule that chooses among candidates, None measures
    nothing of them. ``weights`` says by what images weigh in losses, None that they are alike.
    """

    classes: list[int]
    prior_labels: list[int]
    positions: int
    candidates: int
    sampling: Sampling
    key: tuple[int | str, int]
    classes_per_batch: int | None = None
    first_position: int = 0
    real_candidates: int = 0
    through_autoencoder: bool = False
    guidance: dict[str, GuidanceConfig] = field(default_factory=dict[str, GuidanceConfig])
    select: str | None = "learnability"
    weights: str | None = None

    @property
    def memory_rows(self) -> Tensor:
        """The row of every label in memory, which has those of the shard alone."""
        rows = torch.zeros(len(self.prior_labels), dtype=torch.long)
        rows[self.classes] = torch.arange(len(self.classes))
        return rows

    @property
    def uses_real_images(self) -> bool:
        """Whether candidates are real images, or begin at their latents."""
        return self.real_candidates > 0 or self.sampling.start is not None

    @property
    def sequential(self) -> bool:
        """Whether a position depends on the candidates chosen for earlier positions."""
        kinds = guidance_kinds()
        return any(kinds[name].sequential for name in self.guidance)

    @property
    def collective(self) -> bool:
        """Whether all images of a class are guided together."""
        kinds = guidance_kinds()
        return any(kinds[name].collective for name in self.guidance)

    @property
    def drawn_candidates(self) -> int:
        """The candidates of a position that are drawn from the prior."""
        return self.candidates - self.real_candidates


def rounds(spec: IncrementSpec, max_batch: int, done: int = 0) -> Iterator[range]:
    """Yield the positions that are drawn together, from position ``done`` on.

    Positions share a batch if no guidance depends on the candidates chosen for earlier ones.
    """
    together = 1
    if spec.collective:
        together = spec.positions
    elif not spec.sequential:
        classes = spec.classes_per_batch or len(spec.classes)
        together = max(1, max_batch // (classes * spec.candidates))
    for start in range(done, spec.positions, together):
        yield range(start, min(start + together, spec.positions))


def batches(spec: IncrementSpec, positions: range, max_batch: int) -> Iterator[Keys]:
    """Yield the (class, position, candidate) of a round, class by class, in batches.

    The last bits of floating-point sums depend on what is in the same batch. With one class per
    batch they do not depend on the division of classes into shards. Where a class is guided as a
    whole, no batch has a part of it, even if it is larger.
    """
    size = spec.classes_per_batch or len(spec.classes)
    if spec.collective:
        whole = len(positions) * spec.candidates
        size = max(1, min(size, max_batch // whole))
        max_batch = max(max_batch, whole)
    for first in range(0, len(spec.classes), size):
        keys = list(product(spec.classes[first : first + size], positions, range(spec.candidates)))
        for start in range(0, len(keys), max_batch):
            yield keys[start : start + max_batch]
