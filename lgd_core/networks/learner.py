"""Training of learners, averaged all along.

A learner trains until its loss stops falling, and is then squeezed, or it trains by a protocol.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from timm.utils.model_ema import ModelEmaV3
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.progress import progress
from lgd_core.base.seeding import Key
from lgd_core.config.models.method import LearnerConfig
from lgd_core.config.settings import TaughtSettings
from lgd_core.networks.training import (
    BatchLoss,
    Images,
    class_loss,
    mean_loss,
    optimiser_for,
    restore,
    snapshot,
    train_epoch,
    train_epochs,
)


class Epoch(TypedDict):
    """A row of a learner's curve: the phase of an epoch, its training loss, the monitored one."""

    phase: str
    loss: float
    monitored: float


class WeightAverage:
    """Exponential average of a network's weights with warm-up, updated after every step.

    Running statistics of batch normalisation are averaged as weights are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.step = model, 0
        self.ema = ModelEmaV3(model, decay=decay, use_warmup=True)

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights, in evaluation mode."""
        return self.ema.module.eval()

    def update(self) -> None:
        """Take in the weights after another step."""
        self.step += 1
        self.ema.update(self.model, step=self.step)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights and the number of steps."""
        return {"network": self.network.state_dict(), "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on from what state_dict has returned."""
        self.network.load_state_dict(state_dict["network"])
        self.step = state_dict["step"]


def train_by_protocol(
    model: nn.Module,
    data: Images,
    recipe: TaughtSettings,
    loss_on: BatchLoss,
    key: Key,
    checkpoint: Checkpoint,
) -> tuple[nn.Module, list[Epoch]]:
    """Train as a student of a protocol; return the weight average and the curve.

    Changes ``model`` in place. The curve has one row per epoch; its monitored loss is that of
    training.
    """
    average = WeightAverage(model, recipe.ema_decay)

    def row(_: int, loss: float) -> list[Epoch]:
        return [{"phase": "protocol", "loss": loss, "monitored": loss}]

    more = {"average": average}
    curve = train_epochs(
        model, data, recipe.lesson, key, checkpoint, "learner", loss_on, row, average.update, more
    )
    return average.network, curve


def train_to_plateau(
    model: nn.Module,
    data: Images,
    held_out: Images | None,
    recipe: LearnerConfig,
    key: Key,
    checkpoint: Checkpoint,
) -> tuple[nn.Module, list[Epoch]]:
    """Train until the loss stops falling, then squeeze; return the weight average and the curve.

    Plateau: constant rate until the monitored loss has not been lower for ``patience`` epochs.
    Squeeze: ``squeeze_epochs`` of cosine decay to ``min_lr_ratio``. The monitored loss is that of
    training, or of ``held_out`` real training images if given. The curve has one row per epoch.
    """
    optimiser = optimiser_for(model, recipe.lr, recipe.weight_decay)
    loss_on = class_loss(recipe.cutmix)
    average = WeightAverage(model, recipe.ema_decay)
    parts = {"model": model, "optimiser": optimiser, "average": average}
    state = checkpoint.load("learner", *parts, "curve") or {"curve": []}
    restore(parts, state)
    curve: list[Epoch] = state["curve"]
    with progress("learner", recipe.max_epochs + recipe.squeeze_epochs, len(curve)) as bar:
        for phase, rate in _phases(curve, recipe):
            for group in optimiser.param_groups:
                group["lr"] = rate
            epoch_key = (*key, len(curve))
            loss = train_epoch(
                model, optimiser, data, recipe.batch, loss_on, epoch_key, average.update
            )
            monitored = loss if held_out is None else mean_loss(model, held_out)
            curve.append({"phase": phase, "loss": loss, "monitored": monitored})
            bar.set_postfix(phase=phase, loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if checkpoint.due():
                checkpoint.save("learner", snapshot(parts) | {"curve": curve})
    return average.network, curve


def _phases(curve: list[Epoch], recipe: LearnerConfig) -> Iterator[tuple[str, float]]:
    """Yield phase and learning rate of each epoch to come, reading the curve as it grows."""
    while not plateaued([row["monitored"] for row in curve if row["phase"] == "plateau"], recipe):
        if any(row["phase"] == "squeeze" for row in curve):
            break
        yield "plateau", recipe.lr
    low, length = recipe.min_lr_ratio, recipe.squeeze_epochs
    for epoch in range(sum(row["phase"] == "squeeze" for row in curve), length):
        cosine = 0.5 * (1 + math.cos(math.pi * (epoch + 1) / length))
        yield "squeeze", recipe.lr * (low + (1 - low) * cosine)


def plateaued(losses: Sequence[float], recipe: LearnerConfig) -> bool:
    """Whether ``patience`` epochs brought no loss lower by ``min_delta``, or time is up."""
    best, best_epoch = math.inf, 0
    for epoch, loss in enumerate(losses):
        if loss < best * (1 - recipe.min_delta) or epoch == 0:
            best, best_epoch = loss, epoch
    waited = len(losses) - 1 - best_epoch
    return len(losses) >= recipe.max_epochs or waited >= recipe.patience
