"""Optimal transport from a class's images to the clusters of its real latents, and its guidance.

The transport-guided part of DMGD (CVPR 2026).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lgd_core.diffusion.guidance import DenoisingStep, downhill

# Of the entropic plan, and rounds of scaling rows and columns.
TEMPERATURE, ROUNDS = 0.1, 5


def plan_of(costs: Tensor, masses: Tensor) -> Tensor:
    """Return the entropic plan (B, N, K) for costs (B, N, K) by Sinkhorn's iterations.

    Rows have equal masses 1 / N, columns the ``masses`` (B, K). Columns are scaled last, and so are
    exact. Cuturi, "Sinkhorn distances" (NeurIPS 2013).
    """
    plan = (-costs / TEMPERATURE).exp()
    for _ in range(ROUNDS):
        plan = plan / plan.sum(2, keepdim=True).clamp_min(1e-12) / costs.shape[1]
        plan = plan / plan.sum(1, keepdim=True).clamp_min(1e-12) * masses[:, None]
    return plan


def transport_cost(
    latents: Tensor, memory: Tensor, centres: Tensor, masses: Tensor, unrolled: bool
) -> Tensor:
    """Return the cost (B,) of moving a class's images to its clusters, latents being the last one.

    ``latents`` (B, ...) are new images, ``memory`` (B, M, ...) those of their class so far,
    ``centres`` (B, K, ...) and ``masses`` (B, K) the clusters. All are scaled to unit length, and
    costs are Euclidean distances. The plan is held constant unless ``unrolled``; only ``latents``
    are differentiable.
    """
    rows = torch.cat([memory.flatten(2).detach(), latents.flatten(1)[:, None]], 1)
    costs = torch.cdist(F.normalize(rows, dim=2), F.normalize(centres.flatten(2), dim=2))
    plan = plan_of(costs if unrolled else costs.detach(), masses)
    return (plan * costs).sum((1, 2))


@dataclass(frozen=True)
class TransportGuidance:
    """Lower the cost of transport from the images of a class to its clusters.

    ``memory`` is (classes of the shard, M, c, h, w), empty at first, with ``rows`` the row of every
    label in it; ``centres`` (classes, K, c, h, w) and ``masses`` (classes, K). ``raw`` moves the
    mean of the next latent by strength x gradient, as in the paper, where the gradient fades with
    the number of images; ``relative`` as in guidance.downhill.
    """

    memory: Tensor
    rows: Tensor
    centres: Tensor
    masses: Tensor
    strength: float
    norm: str = "raw"
    unrolled: bool = False

    def __call__(self, step: DenoisingStep) -> Tensor:
        labels = step.labels
        cost = transport_cost(
            step.x0,
            self.memory[self.rows[labels]],
            self.centres[labels],
            self.masses[labels],
            self.unrolled,
        )
        gradient = torch.autograd.grad(cost.sum(), step.x_t, retain_graph=True)[0]
        return downhill(step, gradient, self.strength, self.norm)
