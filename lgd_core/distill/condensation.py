"""Pixel optimisation: synthetic images that act on networks like real ones."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.finite import require_finite
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.progress import progress
from lgd_core.base.seeding import epoch_batch, generator
from lgd_core.config.models.condensation import CondensationConfig
from lgd_core.config.settings import NetworkSpec
from lgd_core.data.multi_formation import pack_grid, unpack_grid
from lgd_core.distill.matching import OBJECTIVES, siamese
from lgd_core.networks.classifiers import build_network, resized
from lgd_core.networks.training import Images, loss_of, restore, snapshot

LOWER_RATES = "a lower condensation.lr or condensation.network.lr"


@dataclass(frozen=True)
class Condenser:
    """Condenses one increment, or one shard of its classes.

    ``real`` are all real training images as networks see them, ``classes`` the labels of the shard.
    ``spec`` describes the networks that compare images, ``key`` is (seed, increment).
    ``micro_batches`` counts classes.
    """

    real: Images
    classes: list[int]
    spec: NetworkSpec
    recipe: CondensationConfig
    key: tuple[int, int]
    micro_batches: MicroBatches

    @cached_property
    def rows(self) -> dict[int, Tensor]:
        """Return the rows of the real images of every class."""
        labels = self.real.labels.cpu()
        return {label: (labels == label).nonzero().flatten() for label in self.classes}

    @cached_property
    def real_batch(self) -> int:
        """Return the real images per class and step, at most those of the smallest class."""
        return min(self.recipe.real_batch, int(self.real.labels.bincount().min()))

    def network(self, step: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return the random network that starts at a step, and its optimiser."""
        model = build_network(self.spec, "condensation", *self.key, step)
        model = model.to(self.real.device).train()
        recipe = self.recipe.network
        return model, torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )

    def train(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, born: int, turns: range
    ) -> None:
        """Train the network that started at step ``born`` on real images, one batch per turn."""
        recipe, key = self.recipe.network, ("condensation network", *self.key, born)
        for turn in turns:
            rows = epoch_batch(len(self.real.labels), recipe.batch, turn, *key)
            batch = self.real.batch(rows)
            loss = loss_of(model, self.real, batch, recipe.cutmix, generator(*key, turn))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()

    def gradients(self, model: nn.Module, pixels: Tensor, step: int) -> tuple[Tensor, float]:
        """Return the gradient of the objective in pixels, and its mean over the classes.

        ``pixels`` (classes, N, C, H, W) are stored images on [0, 1].
        """
        gradients = torch.empty_like(pixels)

        def of_classes(positions: Tensor) -> Tensor:
            part = pixels[positions].detach().requires_grad_()
            distances = self._distances(model, part, positions, step)
            gradients[positions] = torch.autograd.grad(distances.sum(), part)[0]
            return distances.detach()

        distances = self.micro_batches.map(
            "condensing", of_classes, torch.arange(len(self.classes))
        )
        return gradients, distances.mean().item()

    def _distances(self, model: nn.Module, pixels: Tensor, positions: Tensor, step: int) -> Tensor:
        """Return the objective per class; the draws of a class are keyed by class and step."""
        labels = [self.classes[int(position)] for position in positions]
        rngs = [generator("condensation", *self.key, step, label) for label in labels]
        batches = map(self._real_batch, labels, rngs)
        images = unpack_grid(pixels.flatten(0, 1), self.recipe.factor)
        images = resized(images, self.real.preprocess.size)
        images = torch.unflatten(images, 0, (len(labels), -1))
        views = siamese(torch.stack(list(batches)), images, self.real.augmentation, rngs)
        real, synthetic = map(self.real.preprocess, views)
        targets = torch.tensor(labels, device=pixels.device)
        return OBJECTIVES[self.recipe.objective](model, real, synthetic, targets)

    def _real_batch(self, label: int, rng: torch.Generator) -> Tensor:
        rows = self.rows[label]
        drawn = torch.randperm(len(rows), generator=rng)[: self.real_batch]
        return self.real.batch(rows[drawn]).images


def initial_pixels(images: Tensor, classes: int, factor: int) -> Tensor:
    """Return the start of optimisation from class-major uint8 real images: packed, on [0, 1]."""
    stored = pack_grid(images.float() / 255, factor)
    return torch.unflatten(stored, 0, (classes, -1)).clamp(0, 1)


def condense(condenser: Condenser, start: Tensor, checkpoint: Checkpoint) -> Tensor:
    """Optimise stored images (classes, N, C, H, W) on [0, 1] from ``start``; return them.

    A step moves all pixels down the gradient of the objective under the current network and clamps
    them to [0, 1]. Every ``network.life`` steps a new random network replaces the last one. It is
    trained on real images for ``network.warm_up`` steps at first and for ``network.steps`` steps
    after each step of the pixels. All draws are keyed by the step, so a resumed increment gives the
    same result as an uninterrupted one. Raises UserError if the objective is not finite.
    """
    recipe, network = condenser.recipe, condenser.recipe.network
    keys = ("step", "pixels", "optimiser", "model", "trainer")
    state = checkpoint.load("condensation", *keys) or {"step": 0, "pixels": start}
    pixels = state["pixels"].clone().to(condenser.real.device).requires_grad_()
    optimiser = _optimiser(pixels, recipe)
    model, trainer = condenser.network(0)
    parts = {"optimiser": optimiser, "model": model, "trainer": trainer}
    restore(parts, state)
    with progress("condensation", recipe.steps, state["step"]) as bar:
        for step in range(state["step"], recipe.steps):
            age = step % network.life
            if age == 0:
                model, trainer = condenser.network(step)
                parts |= {"model": model, "trainer": trainer}
                condenser.train(model, trainer, step, range(network.warm_up))
            pixels.grad, distance = condenser.gradients(model, pixels.detach(), step)
            require_finite(distance, f"condensation: objective of step {step}", LOWER_RATES)
            optimiser.step()
            pixels.data.clamp_(0, 1)
            turn = network.warm_up + age * network.steps
            condenser.train(model, trainer, step - age, range(turn, turn + network.steps))
            bar.set_postfix(distance=f"{distance:.4g}", refresh=False)
            bar.update()
            if checkpoint.due():
                state = {"step": step + 1, "pixels": pixels.detach()}
                checkpoint.save("condensation", snapshot(parts) | state)
    return pixels.detach().cpu()


def _optimiser(pixels: Tensor, recipe: CondensationConfig) -> torch.optim.Optimizer:
    return torch.optim.SGD([pixels], lr=recipe.lr, momentum=recipe.momentum)
