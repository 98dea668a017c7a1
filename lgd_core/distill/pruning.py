"""Real images chosen by how a network learned them: data pruning.

The picks for a smaller set are the first picks for a larger one, and increment k of size N holds
picks kN to kN + N - 1, as for other coresets.
"""

from pathlib import Path

import torch
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.base.tensors import expect, load_tensors
from lgd_core.config.models.pruning import PruningConfig
from lgd_core.data.real_images import rows_of_class

# Scores that are low for hard images.
LOW_IF_HARD = ("aum",)


def load_hardness(path: str | Path, score: str, images: int) -> Tensor:
    """Read a score of all training images (N,), turned so that hard images have high values.

    Raises UserError naming the file unless it has one for each of the ``images``.
    """
    tensors, _ = load_tensors(path)
    expect(path, tensors, score, torch.float32, images)
    return -tensors[score] if score in LOW_IF_HARD else tensors[score]


def pruned_increment(
    hardness: Tensor,
    labels: Tensor,
    classes: list[int],
    recipe: PruningConfig,
    size: int,
    key: tuple[int, int],
) -> Tensor:
    """Return the rows (classes, size) of an increment; ``key`` is (seed, increment).

    Raises UserError if a class has too few images, or too few after the cutoff.
    """
    seed, increment = key
    count = (increment + 1) * size
    chosen: list[Tensor] = []
    for label in classes:
        rows = rows_of_class(labels, label, count, f"increment {increment}")
        # Equal scores, of which forgetting has many, come in random order.
        rows = rows[torch.randperm(len(rows), generator=generator("pruned", seed, label))]
        order = ordered(hardness[rows], recipe, generator("strata", seed, label))
        if len(order) < count:
            raise UserError(
                f"pruning.cutoff: found {recipe.cutoff}, which leaves {len(order)} images of class "
                f"{label}; expected at least {count} for increment {increment}"
            )
        chosen.append(rows[order[increment * size : count]])
    return torch.stack(chosen)


def ordered(hardness: Tensor, recipe: PruningConfig, rng: torch.Generator) -> Tensor:
    """Return the places of a class's images (n,) in the order in which they are taken.

    The hardest are left out first, as the cutoff says.
    """
    easiest = hardness.argsort(stable=True)[: len(hardness) - int(recipe.cutoff * len(hardness))]
    if recipe.keep == "strata":
        return easiest[by_strata(hardness[easiest], recipe.strata, rng)]
    return easiest if recipe.keep == "easiest" else easiest.flip(0)


def by_strata(scores: Tensor, strata: int, rng: torch.Generator) -> Tensor:
    """Return an order (n,) that takes one image of each stratum in turn, until it has no more.

    Any beginning of it has equally many of each stratum, but for those that are used up: the
    budgets of coverage-centric selection (Zheng et al., "Coverage-centric coreset selection for
    high pruning rates", ICLR 2023). Strata are of equal width; within one the order is random.
    """
    low, high = scores.min(), scores.max()
    width = ((high - low) / strata).clamp_min(torch.finfo(scores.dtype).tiny)
    stratum = ((scores - low) / width).long().clamp(max=strata - 1)
    shuffled = torch.randperm(len(scores), generator=rng)
    grouped = shuffled[stratum[shuffled].argsort(stable=True)]
    counts = stratum.bincount(minlength=strata)
    starts = counts.cumsum(0) - counts
    turn = torch.arange(len(scores)) - starts[stratum[grouped]]
    place = torch.randperm(strata, generator=rng)[stratum[grouped]]
    return grouped[(turn * strata + place).argsort()]
