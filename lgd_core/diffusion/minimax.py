"""The minimax criteria: latents that represent the real ones and differ from those drawn before.

Gu et al., "Efficient dataset distillation via minimax diffusion" (CVPR 2024), as in its published
code: cosine similarity of predicted clean latents to memories of each class.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.config.models.method import FinetuneConfig


class Memory(nn.Module):
    """The latest ``size`` latents of every class, first in, first out; saved like other modules.

    ``vectors`` (classes, size, d) are kept at unit length, ``seen`` (classes,) counts additions.
    """

    vectors: Tensor
    seen: Tensor

    def __init__(self, classes: int, size: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(classes, size, dimension))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.long))

    def similarity(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosines (B, size) of latents (B, ...) to their class's memory, and a mask.

        The mask (B, size) is true for the places that are filled.
        """
        places = torch.arange(self.vectors.shape[1], device=labels.device)
        cosines = torch.einsum("bd,bmd->bm", _unit(latents), self.vectors[labels])
        return cosines, places < self.seen[labels, None]

    def add(self, latents: Tensor, labels: Tensor) -> None:
        """Append latents (B, ...) to the memories of their classes, in order."""
        size = self.vectors.shape[1]
        same = labels[:, None] == labels
        earlier, later = same.tril(-1).sum(1), same.triu(1).sum(1)
        kept = later < size  # a batch may have more latents of a class than its memory
        place = (self.seen[labels] + earlier) % size
        self.vectors[labels[kept], place[kept]] = _unit(latents.detach())[kept]
        self.seen += labels.bincount(minlength=len(self.seen))


def representativeness(latents: Tensor, labels: Tensor, memory: Memory) -> Tensor:
    """Return, per class, 1 - the smallest cosine between its latents and its memory.

    Differentiable with respect to ``latents`` (B, ...). The result is (classes,), with 0 for
    classes missing in the batch or in the memory. A low value means that even the farthest real
    latent is near.
    """
    cosines, filled = memory.similarity(latents, labels)
    least = cosines.masked_fill(~filled, torch.inf).amin(1)
    return 1 - _per_class(least, labels, memory, "amin", absent=1.0)


def repetition(latents: Tensor, labels: Tensor, memory: Memory) -> Tensor:
    """Return, per class, the largest cosine between its latents and its memory.

    Shapes as for representativeness. A low value means that no latent is drawn twice.
    """
    cosines, filled = memory.similarity(latents, labels)
    greatest = cosines.masked_fill(~filled, -torch.inf).amax(1)
    return _per_class(greatest, labels, memory, "amax", absent=0.0)


def minimax_loss(
    latents: Tensor, labels: Tensor, real: Memory, drawn: Memory, recipe: FinetuneConfig
) -> Tensor:
    """Return the two criteria, weighted by the recipe, averaged over the classes of a batch.

    ``latents`` (B, ...) are predicted clean latents, ``labels`` (B,) their classes. Added is the
    recipe's sparsity times their mean absolute value, the criterion of RSM (CVPR 2026).
    """
    loss = recipe.representativeness * representativeness(latents, labels, real)
    loss = loss + recipe.diversity * repetition(latents, labels, drawn)
    return loss.sum() / len(labels.unique()) + recipe.sparsity * latents.abs().mean()


def _per_class(
    values: Tensor, labels: Tensor, memory: Memory, reduce: str, absent: float
) -> Tensor:
    """Reduce values (B,) over the samples of each class; ``absent`` for classes without any."""
    known = memory.seen[labels] > 0
    result = values.new_full((len(memory.seen),), absent)
    return result.scatter_reduce(0, labels[known], values[known], reduce, include_self=False)


def _unit(latents: Tensor) -> Tensor:
    return F.normalize(latents.flatten(1), dim=1)
