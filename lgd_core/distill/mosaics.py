"""RDED: mosaics of the crops of real images that an observer classifies best.

Sun et al., "On the diversity and realism of distilled dataset" (CVPR 2024), Section 4. Of random
training images of a class, the crop with the lowest loss of each is kept; the crops with the lowest
losses are put together, factor x factor of them in one image. Picks do not depend on the size of
the set: increment k of N images holds the mosaics kN to kN + N - 1 of a class.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.errors import UserError
from lgd_core.base.progress import progress
from lgd_core.base.seeding import generator
from lgd_core.config.models.mosaic import MosaicConfig
from lgd_core.data.real_images import rows_of_class
from lgd_core.data.streams import in_batches
from lgd_core.diffusion.priors import to_uint8
from lgd_core.distill.artifacts import present
from lgd_core.distill.context import SourceContext
from lgd_core.networks.augment import random_resized_crop
from lgd_core.networks.classifiers import Preprocess, resized
from lgd_core.networks.training import preprocessor

SQUARE = [1.0, 1.0]


def mosaics(context: SourceContext[Any], recipe: MosaicConfig) -> Tensor:
    """Return the mosaics of an increment, uint8 (classes x N, C, H, W), class by class.

    Raises UserError if a class has too few images, or if too few of them are looked at.
    """
    images, known = present(context.artifacts.real).split("originals")
    seed, increment = context.key
    cells = recipe.factor**2
    first, count = increment * context.ipc * cells, context.ipc * cells
    if first + count > recipe.images:
        raise UserError(
            f"mosaic.images: found {recipe.images}, expected at least {first + count} for the "
            f"crops of increment {increment}"
        )
    device, reference = context.prior.device, present(context.artifacts.reference)
    preprocess = preprocessor(context.seen).to(device)
    made: list[Tensor] = _finished(context)
    left = context.labels[len(made) :]

    def looked_at(label: int) -> Tensor:
        rows = rows_of_class(known, label, first + count, f"increment {increment}")
        order = torch.randperm(len(rows), generator=generator("mosaic", seed, label))
        return rows[order[: recipe.images]].sort().values

    of_classes = in_batches(images, list(map(looked_at, left)))
    with progress("mosaics", len(context.labels), len(made)) as bar:
        for label, of_class in zip(left, of_classes, strict=True):
            rng = generator("mosaic crops", seed, label)
            seen = of_class.to(device)
            crops, losses = best_crops(reference, preprocess, seen, label, recipe, rng)
            kept = losses.argsort(stable=True)[first : first + count]
            made.append(grid(crops[kept], recipe.factor))
            bar.update()
            if context.checkpoint.due():
                context.checkpoint.save("mosaics", {"made": torch.stack(made)})
    return torch.cat(made)


def _finished(context: SourceContext[Any]) -> list[Tensor]:
    state = context.checkpoint.load("mosaics", "made")
    return list(state["made"]) if state else []


@torch.inference_mode()
def best_crops(
    observer: nn.Module,
    preprocess: Preprocess,
    images: Tensor,
    label: int,
    recipe: MosaicConfig,
    rng: torch.Generator,
    batch: int = 100,
) -> tuple[Tensor, Tensor]:
    """Return the crop of each uint8 image (N, C, H, W) with the lowest loss, and the losses (N,).

    Crops are square and have the side of a mosaic's cell, uint8 (N, C, h, w); both results are on
    the CPU. The loss is the
    observer's cross-entropy with the class ``label`` of the crop at that size, with zeros around it
    up to the observer's own.
    """
    best: list[Tensor] = []
    losses: list[Tensor] = []
    for part in torch.split(images, max(1, batch // recipe.crops)):
        views = part.repeat_interleave(recipe.crops, 0).float() / 255
        views = random_resized_crop(views, recipe.crop_scale, SQUARE, rng)
        found = crop_losses(observer, preprocess, views, label, recipe.factor)
        lowest = found.view(len(part), recipe.crops).min(1)
        places = torch.arange(len(part), device=part.device) * recipe.crops + lowest.indices
        cells = resized(views[places], images.shape[-1] // recipe.factor)
        best.append(to_uint8(cells))
        losses.append(lowest.values.cpu())
    return torch.cat(best), torch.cat(losses)


def crop_losses(
    observer: nn.Module, preprocess: Preprocess, views: Tensor, label: int, factor: int
) -> Tensor:
    """Return an observer's cross-entropy (B,) of crops on [0, 1] (B, C, H, W) with a class.

    Crops are reduced to the part of the observer's size that a mosaic's cell has, normalised, and
    surrounded by zeros.
    """
    side = preprocess.size // factor
    cells = (resized(views, side) - preprocess.mean) / preprocess.std
    before = (preprocess.size - side) // 2
    after = preprocess.size - side - before
    padded = F.pad(cells, (before, after, before, after))
    labels = torch.full((len(views),), label, device=views.device)
    return F.cross_entropy(observer(padded), labels, reduction="none")


def grid(crops: Tensor, factor: int) -> Tensor:
    """Return mosaics (N / factor^2, C, H, W) of crops (N, C, h, w), row by row.

    The best crops are in the first mosaic. RDED deals them out: mosaic m of n has the ranks m,
    n + m, 2n + m and 3n + m, so that all mosaics change when the set grows.
    """
    rows = torch.unflatten(crops, 0, (-1, factor, factor))
    return rows.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3).contiguous()
