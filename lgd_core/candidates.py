"""Candidates: choosing the best of each position, and the increment that they make."""

import torch
from torch import Tensor


def select(scores: Tensor) -> Tensor:
    """Return the candidate of highest score (Eq. 9) along the last axis; the first where tied."""
    # Unscored candidates are NaN, which would win every comparison.
    return scores.nan_to_num(nan=-torch.inf).argmax(-1)


def take(candidates: Tensor, chosen: Tensor) -> Tensor:
    """Return (classes, positions, ...) from candidates (classes, positions, kappa, ...)."""
    index = chosen.view(*chosen.shape, *(1,) * (candidates.dim() - 2))
    return candidates.take_along_dim(index, dim=2).squeeze(2)


def increment_of(candidates: dict[str, Tensor], labels: list[int]) -> dict[str, Tensor]:
    """Keep the best candidate of every position; return an increment, class-major.

    ``images``, ``latents``, ``scores``, ``labels``, ``positions`` and chosen ``candidates``, each
    (classes x positions, ...).
    """
    chosen = select(candidates["scores"])
    classes, positions = chosen.shape
    kept = {name: take(tensor, chosen).flatten(0, 1) for name, tensor in candidates.items()}
    return kept | {
        "labels": torch.tensor(labels).repeat_interleave(positions),
        "positions": torch.arange(positions).repeat(classes),
        "candidates": chosen.flatten(),
    }


def memory_of(increments: list[dict[str, Tensor]], classes: int) -> Tensor:
    """Return the latents of increments as memory (classes, M, c, h, w), oldest first."""
    return torch.cat([tensors["latents"].unflatten(0, (classes, -1)) for tensors in increments], 1)
