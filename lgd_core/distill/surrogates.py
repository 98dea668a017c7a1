"""Surrogates of influence guidance: checkpoints of training on real images, class gradients.

Chen et al., "Influence-guided diffusion for dataset distillation" (ICLR 2025).
"""

from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.progress import progress
from lgd_core.base.seeding import Key, generator
from lgd_core.config.models.dataset import ClassGradientsConfig
from lgd_core.networks.training import (
    Images,
    class_loss,
    optimiser_for,
    restore,
    schedule_for,
    snapshot,
    train_epoch,
)


class Epoch(TypedDict):
    """A row of a surrogate's curve: the training loss, and whether the checkpoint is kept.

    ``similarity`` is that of the class gradients to those at the last checkpoint kept; None at the
    first epoch.
    """

    loss: float
    similarity: float | None
    kept: bool


def class_rows(labels: Tensor, classes: int, count: int, seed: int) -> list[Tensor]:
    """Return ``count`` random rows of every class, or all of a class that has fewer."""
    rows: list[Tensor] = []
    for label in range(classes):
        own = (labels == label).nonzero().flatten()
        order = torch.randperm(len(own), generator=generator("class rows", seed, label))
        rows.append(own[order[:count]])
    return rows


def class_gradients(
    network: nn.Module, data: Images, rows: list[Tensor], micro_batches: MicroBatches
) -> Tensor:
    """Return the mean loss gradient (classes, P) over the rows of every class, unaugmented.

    P is the number of values of the network's parameters, in their order. No network here mixes
    images of a batch, so the gradient of a mean loss is the mean of the images' gradients.
    """
    parameters = list(network.parameters())

    def summed(rows: Tensor) -> Tensor:
        images, labels, _ = data.batch(rows)
        loss = F.cross_entropy(network(data.preprocess(images)), labels, reduction="sum")
        gradients = torch.autograd.grad(loss, parameters)
        return torch.cat([gradient.flatten() for gradient in gradients])[None]

    means = [micro_batches.map("class gradients", summed, own).sum(0) / len(own) for own in rows]
    return torch.stack(means)


def similarity(gradients: Tensor, others: Tensor) -> float:
    """Return the cosine between two class gradients (classes, P), averaged over classes."""
    return F.cosine_similarity(gradients, others, dim=1).mean().item()


def train_surrogate(
    model: nn.Module,
    data: Images,
    rows: list[Tensor],
    recipe: ClassGradientsConfig,
    key: Key,
    micro_batches: MicroBatches,
    checkpoint: Checkpoint,
) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Train on real images; return the checkpoints kept, every tensor (T, ...), and the curve.

    The first checkpoint is that after the first epoch. A later one is kept if the similarity of its
    class gradients to those at the last checkpoint kept is below the recipe's ``threshold``.
    Training ends after ``surrogate.epochs``, or when ``max_checkpoints`` are kept. The curve has
    one row per epoch.
    """
    surrogate = recipe.surrogate
    optimiser = optimiser_for(model, surrogate.lr, surrogate.weight_decay)
    schedule, loss_on = schedule_for(optimiser, surrogate.epochs), class_loss(mix=False)
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    keys = (*parts, "curve", "kept", "last")
    state = checkpoint.load("surrogate", *keys) or {"curve": [], "kept": []}
    restore(parts, state)
    curve: list[Epoch] = state["curve"]
    kept: list[dict[str, Tensor]] = state["kept"]
    last = state["last"].to(data.device) if kept else None
    with progress("surrogate", surrogate.epochs, len(curve)) as bar:
        while len(curve) < surrogate.epochs and len(kept) < recipe.max_checkpoints:
            epoch_key = (*key, len(curve))
            loss = train_epoch(model, optimiser, data, surrogate.batch, loss_on, epoch_key)
            schedule.step()
            now = class_gradients(model, data, rows, micro_batches)
            alike = None if last is None else similarity(now, last)
            turned = alike is None or alike < recipe.threshold
            if turned:
                last = now
                kept.append(
                    {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
                )
            curve.append({"loss": loss, "similarity": alike, "kept": turned})
            bar.set_postfix(loss=f"{loss:.3f}", kept=len(kept), refresh=False)
            bar.update()
            if checkpoint.due():
                checkpoint.save(
                    "surrogate", snapshot(parts) | {"curve": curve, "kept": kept, "last": last}
                )
    return {name: torch.stack([weights[name] for weights in kept]) for name in kept[0]}, curve


def checkpoint_gradients(
    network: nn.Module,
    checkpoints: dict[str, Tensor],
    data: Images,
    rows: list[Tensor],
    micro_batches: MicroBatches,
    checkpoint: Checkpoint,
) -> Tensor:
    """Return the class gradients (T, classes, P) at T checkpoints, whose tensors are (T, ...).

    Afterwards ``network`` has the weights of the last checkpoint.
    """
    state = checkpoint.load("gradients", "gradients") or {"gradients": []}
    gradients: list[Tensor] = state["gradients"]
    total = len(next(iter(checkpoints.values())))
    with progress("checkpoints", total, len(gradients)) as bar:
        for index in range(len(gradients), total):
            network.load_state_dict({name: tensor[index] for name, tensor in checkpoints.items()})
            gradients.append(class_gradients(network, data, rows, micro_batches).cpu())
            bar.update()
            checkpoint.save("gradients", {"gradients": gradients})
    return torch.stack(gradients)
