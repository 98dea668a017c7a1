"""SRe2L: images that a trained network takes for real ones of their class.

Yin, Xing and Shen, "Squeeze, recover and relabel" (NeurIPS 2023): from noise, pixels move down the
cross-entropy of a trained network with their class, plus the distance of the batch's statistics
from the running ones in all layers of batch normalisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint, resumable_loop
from lgd_core.base.progress import progress
from lgd_core.base.seeding import generator
from lgd_core.config.models.inversion import InversionConfig
from lgd_core.config.models.protocol import ScheduleConfig
from lgd_core.diffusion.priors import to_uint8
from lgd_core.distill.artifacts import present
from lgd_core.distill.context import SourceContext
from lgd_core.networks.augment import random_flip, random_resized_crop
from lgd_core.networks.classifiers import Preprocess
from lgd_core.networks.training import preprocessor, resize_stored, schedule_for

RATIO = [3 / 4, 4 / 3]


def invert(context: SourceContext[Any], recipe: InversionConfig) -> Tensor:
    """Return the images of an increment, uint8 (classes x N, C, H, W), class by class.

    A batch holds one image of each of some classes, so that the statistics of a batch are those of
    many.
    """
    network, preprocess = present(context.artifacts.reference), preprocessor(context.seen)
    inverter = Inverter(network, preprocess.to(context.prior.device), recipe, context.key)
    shape = (len(context.labels), context.ipc, *context.seen.shape)
    images = torch.empty(shape, dtype=torch.uint8)
    batches = [
        (position, range(start, min(start + recipe.batch, len(context.labels))))
        for position in range(context.ipc)
        for start in range(0, len(context.labels), recipe.batch)
    ]
    with progress("inversions", len(batches)) as bar:
        for number, (position, rows) in enumerate(batches):
            labels = [context.labels[row] for row in rows]
            own = context.checkpoint.part(f"batch{number}")
            pixels = inverter.finished(labels, position, own, context.seen.side)
            size = context.seen.image.size
            images[list(rows), position] = resize_stored(pixels, size, images.device)
            bar.update()
    return images.flatten(0, 1)


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return all layers of batch normalisation, in their order."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@dataclass(frozen=True)
class Inverter:
    """Optimises batches of images; ``key`` is (seed, increment)."""

    network: nn.Module
    preprocess: Preprocess
    recipe: InversionConfig
    key: tuple[int, int]

    def finished(
        self, labels: Sequence[int], position: int, checkpoint: Checkpoint, side: int
    ) -> Tensor:
        """Return the images of some classes at a position, uint8 (B, C, side, side)."""
        if (state := checkpoint.load("finished", "images")) is not None:
            return state["images"]
        pixels = self.optimise(labels, position, checkpoint, side)
        images = to_uint8(pixels * self.preprocess.std + self.preprocess.mean)
        # The state of the optimiser is several times as large as the images.
        checkpoint.clear()
        checkpoint.save("finished", {"images": images})
        return images

    def optimise(
        self, labels: Sequence[int], position: int, checkpoint: Checkpoint, side: int
    ) -> Tensor:
        """Return normalised pixels (B, C, side, side) after all steps."""
        recipe, device = self.recipe, self.preprocess.mean.device
        shape = (self.preprocess.mean.shape[1], side, side)
        noise = [
            torch.randn(shape, generator=generator("inversion", *self.key, label, position))
            for label in labels
        ]
        pixels = nn.Parameter(torch.stack(noise).to(device))
        optimiser = _optimiser(pixels, recipe)
        schedule = schedule_for(optimiser, recipe.steps, ScheduleConfig(kind="cosine"))
        targets = torch.tensor(labels, device=device)
        low = -self.preprocess.mean / self.preprocess.std
        high = (1 - self.preprocess.mean) / self.preprocess.std

        def step(number: int) -> float:
            rng = generator("inversion step", *self.key, labels[0], position, number)
            loss = self.loss(self.view(pixels, rng), targets)
            (pixels.grad,) = torch.autograd.grad(loss, pixels)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                pixels.clamp_(low, high)
            return loss.item()

        parts = {"optimiser": optimiser, "schedule": schedule, "pixels": nn.ParameterList([pixels])}
        resumable_loop(parts, step, recipe.steps, "inversion", checkpoint)
        return pixels.detach()

    def view(self, pixels: Tensor, rng: torch.Generator) -> Tensor:
        """Return images cropped, flipped and rolled at random; differentiable."""
        views = random_resized_crop(pixels, self.recipe.crop_scale, RATIO, rng)
        views = random_flip(views, 0.5, rng)
        rolled = torch.randint(-self.recipe.roll, self.recipe.roll + 1, (2,), generator=rng)
        return views.roll((int(rolled[0]), int(rolled[1])), (2, 3))

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of normalised images plus the weighted statistics' distance."""
        logits, distances = statistics_distances(self.network, images)
        apart = self.recipe.first_layer * distances[0] + torch.stack(distances[1:]).sum()
        return F.cross_entropy(logits, labels) + self.recipe.statistics_weight * apart


def _optimiser(pixels: nn.Parameter, recipe: InversionConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam([pixels], lr=recipe.lr, betas=(recipe.momentum, 0.9))


def statistics_distances(network: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return a network's logits, and how far batch statistics are from running ones, by layer.

    A layer's distance is the norm of the difference of the means, plus that of the variances.
    """
    found: list[Tensor] = []

    def record(layer: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean = inputs[0].mean((0, 2, 3))
        variance = inputs[0].var((0, 2, 3), unbiased=False)
        found.append(
            torch.dist(variance, present(layer.running_var))
            + torch.dist(mean, present(layer.running_mean))
        )

    handles = [layer.register_forward_pre_hook(record) for layer in batch_norms(network)]
    try:
        return network(images), found
    finally:
        for handle in handles:
            handle.remove()
