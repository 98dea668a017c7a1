"""Training of learners: until the loss stops falling, then squeezed, averaged all along."""

import math
from collections.abc import Iterator, Sequence
from typing import TypedDict

from timm.utils.model_ema import ModelEmaV3
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.progress import progress
from lgd_core.base.seeding import Key
from lgd_core.config.models.method import LearnerConfig
from lgd_core.networks.training import (
    Images,
    class_loss,
    mean_loss,
    optimiser_for,
    restore,
    snapshot,
    train_epoch,
)


class Epoch(TypedDict):
    """A row of a learner's curve: the phase of an epoch, its training loss, the monitored one."""

    phase: str
    loss: float
    monitored: float


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
    ema = ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True)
    parts = {"model": model, "optimiser": optimiser, "ema": ema.module}
    state = checkpoint.load("learner", *parts, "step", "curve") or {"step": 0, "curve": []}
    restore(parts, state)
    step: int = state["step"]
    curve: list[Epoch] = state["curve"]

    def after_step() -> None:
        nonlocal step
        step += 1
        ema.update(model, step=step)

    with progress("learner", recipe.max_epochs + recipe.squeeze_epochs, len(curve)) as bar:
        for phase, rate in _phases(curve, recipe):
            for group in optimiser.param_groups:
                group["lr"] = rate
            epoch_key = (*key, len(curve))
            loss = train_epoch(model, optimiser, data, recipe.batch, loss_on, epoch_key, after_step)
            monitored = loss if held_out is None else mean_loss(model, held_out)
            curve.append({"phase": phase, "loss": loss, "monitored": monitored})
            bar.set_postfix(phase=phase, loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if checkpoint.due():
                checkpoint.save("learner", snapshot(parts) | {"step": step, "curve": curve})
    return ema.module.eval(), curve


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
