"""Guidance of a class's images as a set: apart from each other, their mean that of real latents.

The set-level guidance CGS, with the sparse prior RSM (CVPR 2026), as described.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lgd_core.diffusion.guidance import DenoisingStep, downhill, noise_change


def crowding(latents: Tensor, memory: Tensor, ridge: float) -> Tensor:
    """Return -log det(K + ridge I) of sets, (G,); it is low where the latents of a set are apart.

    K has the cosines of all latents of a set (G, N, ...) and of its memory (G, M, ...) with each
    other. Only ``latents`` are differentiable.
    """
    rows = torch.cat([memory.flatten(2).detach(), latents.flatten(2)], 1)
    rows = F.normalize(rows, dim=2)
    kernel = rows @ rows.mT
    return -torch.logdet(kernel + ridge * torch.eye(kernel.shape[1], device=kernel.device))


@dataclass(frozen=True)
class SetGuidance:
    """Move the images of each class apart, and their mean to that of the class's real latents.

    A batch has whole classes, ordered by class, position and candidate; the images of one class
    with one candidate's index are a set. ``memory`` is (classes of the shard, M, c, h, w), with
    ``rows`` the row of every label in it; ``means`` (classes, c, h, w). ``strength`` and ``norm``
    are those of guidance.downhill, for the gradient of crowding at x0. ``pull`` is the share of the
    way to sqrt(alpha_bar) x mean that the mean of a set goes with every step: the authors' strength
    of that part times 2 / N.
    """

    memory: Tensor
    rows: Tensor
    means: Tensor
    candidates: int
    strength: float
    norm: str
    pull: float
    ridge: float

    def __call__(self, step: DenoisingStep) -> Tensor:
        labels = self._sets(step, step.labels)[:, 0]
        apart = self._apart(self._sets(step, step.x0.detach()), self.memory[self.rows[labels]])
        change = downhill(step, self._batch(apart), self.strength, self.norm)
        mean = self._sets(step, step.x_t.detach()).mean(1)
        off = mean - step.alpha_bar.sqrt() * self.means[labels]
        shift = -self.pull * self._batch(off[:, None].expand_as(apart))
        return change + noise_change(step, shift)

    def _apart(self, latents: Tensor, memory: Tensor) -> Tensor:
        """Return the gradient of crowding with respect to latents (G, N, c, h, w)."""
        latents = latents.clone().requires_grad_(True)
        return torch.autograd.grad(crowding(latents, memory, self.ridge).sum(), latents)[0]

    def _sets(self, step: DenoisingStep, values: Tensor) -> Tensor:
        """Return values (B, ...) by set: (sets, images of a set, ...)."""
        classes = int((step.labels.diff() != 0).sum()) + 1
        split = torch.unflatten(values, 0, (classes, -1, self.candidates))
        return split.transpose(1, 2).flatten(0, 1)

    def _batch(self, values: Tensor) -> Tensor:
        """Return values (sets, images of a set, ...) in the order of the batch, (B, ...)."""
        split = torch.unflatten(values, 0, (-1, self.candidates))
        return split.transpose(1, 2).flatten(0, 2)
