"""Training of classifiers to a fixed length: students, references, redundancy networks."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint, Stateful
from lgd_core.base.devices import moved
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.seeding import Key, generator
from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.config.models.protocol import Decayed, OptimiserName, ScheduleConfig
from lgd_core.config.settings import SeenImages, TrainingSettings
from lgd_core.data.distilled import StoredSet
from lgd_core.data.multi_formation import unpack_stored
from lgd_core.data.streams import ImageFiles, StoredPixels, in_batches
from lgd_core.networks.augment import augment, cutmix, shuffle_patches
from lgd_core.networks.classifiers import Preprocess, resized


class Batch(NamedTuple):
    """Rows (B,) of a set: images on [0, 1] (B, C, H, W) and labels (B,), on the set's device."""

    images: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Images:
    """Labelled uint8 images (N, C, H, W), with what networks need to see them.

    Images are on the device of the labels, or are decoded from files batch by batch. ``augment`` is
    None for a stage that does not train. ``weights`` (N,) are those of images in losses, with a
    mean of 1; None where they are alike.
    """

    images: StoredPixels
    labels: Tensor
    preprocess: Preprocess
    augment: AugmentConfig | None
    weights: Tensor | None = None

    @classmethod
    def on(
        cls, device: torch.device, images: StoredPixels, labels: Tensor, seen: SeenImages
    ) -> "Images":
        """Put real images on a device at the size that networks see; files stay files.

        Images of a distilled set go through of_set.
        """
        preprocess = preprocessor(seen).to(device)
        if not isinstance(images, ImageFiles):
            images = resize_stored(images, preprocess.size, device)
        return cls(images, labels.to(device), preprocess, seen.augment)

    @classmethod
    def of_set(
        cls, device: torch.device, images: Tensor, labels: Tensor, factor: int, seen: SeenImages
    ) -> "Images":
        """Put a distilled set's images on a device as on does.

        Each of ``images`` (N, C, H, W) holds factor x factor smaller ones, which are taken apart:
        the result has N x factor^2 images, those of one stored image beside each other.
        """
        return cls.on(device, *unpack_stored(images, labels, factor), seen)

    @classmethod
    def of_parts(cls, device: torch.device, stored: StoredSet, seen: SeenImages) -> "Images":
        """Put a distilled set's images on a device as of_set does, from those of its increments.

        Increments are joined at the size that networks see, not as they are stored.
        """
        preprocess = preprocessor(seen).to(device)
        pairs = zip(stored.images, stored.labels, strict=True)
        unpacked = (unpack_stored(*part, stored.factor) for part in pairs)
        parts = [(resize_stored(own, preprocess.size, device), known) for own, known in unpacked]
        joined, known = map(torch.cat, zip(*parts, strict=True))
        weights = None
        if stored.weights is not None:
            weights = torch.cat(stored.weights).repeat_interleave(stored.factor**2).to(device)
        return cls(joined, known.to(device), preprocess, seen.augment, weights)

    @property
    def device(self) -> torch.device:
        return self.labels.device

    @property
    def augmentation(self) -> AugmentConfig:
        """How images are augmented in training; raises ValueError for a stage that has none."""
        if self.augment is None:
            raise ValueError("found images to train on without augmentation, expected one")
        return self.augment

    def weights_of(self, batch: Batch) -> Tensor | None:
        """Return the weights (B,) of a batch's images; None where they are alike."""
        return None if self.weights is None else self.weights[batch.rows]

    def batch(self, rows: Tensor) -> Batch:
        """Return the given rows."""
        return next(self.batches([rows]))

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Batch]:
        """Yield the rows of each part; files are decoded ahead."""
        parts = [moved(rows, self.device) for rows in parts]
        for rows, images in zip(parts, in_batches(self.images, parts), strict=True):
            yield Batch(moved(images, self.device).float() / 255, self.labels[rows], rows)

    def in_order(self, batch: int) -> Iterator[Batch]:
        """Yield all images in batches, in their order."""
        yield from self.batches(torch.arange(len(self.labels)).split(batch))


def preprocessor(seen: SeenImages) -> Preprocess:
    """Return what a data set's networks do first."""
    return Preprocess(seen.normalise.mean, seen.normalise.std, seen.side)


def resize_stored(images: Tensor, size: int, device: torch.device, batch: int = 500) -> Tensor:
    """Put uint8 images (N, C, H, W) on a device, resized to a side of ``size`` pixels."""
    if images.shape[-1] == size:
        return images.to(device)
    parts = (resized(part.to(device).float(), size) for part in images.split(batch))
    return torch.cat([part.clamp(0, 255).round().to(torch.uint8) for part in parts])


Row = TypeVar("Row")
# The loss of a network on a batch of a set, augmented by a generator.
BatchLoss = Callable[[nn.Module, Images, Batch, torch.Generator], Tensor]


def class_loss(mix: bool, shuffle: int = 1) -> BatchLoss:
    """Return the loss of training on labels of classes, see loss_of."""
    return lambda model, data, batch, rng: loss_of(model, data, batch, mix, rng, shuffle)


def training_batch(data: Images, batch: Batch, rng: torch.Generator, shuffle: int = 1) -> Tensor:
    """Return a batch as networks see it in training: patches shuffled, augmented, normalised."""
    images = shuffle_patches(batch.images, shuffle, rng)
    return data.preprocess(augment(images, data.augmentation, rng))


def loss_of(
    model: nn.Module,
    data: Images,
    batch: Batch,
    mix: bool,
    rng: torch.Generator,
    shuffle: int = 1,
) -> Tensor:
    """Return the mean cross-entropy of one augmented batch, with CutMix if ``mix``.

    Where images have weights, each one's loss counts by its own.
    """
    images, labels = training_batch(data, batch, rng, shuffle), batch.labels
    weights = data.weights_of(batch)
    if not mix:
        return _cross_entropy(model(images), labels, weights)
    images, order, own = cutmix(images, rng)
    logits, order = model(images), moved(order, labels.device)
    pasted = _cross_entropy(logits, labels[order], None if weights is None else weights[order])
    return own * _cross_entropy(logits, labels, weights) + (1 - own) * pasted


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return F.cross_entropy(logits, labels)
    return (F.cross_entropy(logits, labels, reduction="none") * weights).mean()


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Images,
    batch: int,
    loss_on: BatchLoss,
    key: Key,
    after_step: Callable[[], None] = lambda: None,
    steps: int | None = None,
) -> float:
    """Train one epoch, shuffled and augmented by its key; return the mean training loss.

    The epoch ends after ``steps``, if they are given. Raises UserError where the loss is not
    finite.
    """
    model.train()
    rng = generator("epoch", *key)
    total, seen = torch.zeros((), device=data.device), 0
    order = torch.randperm(len(data.labels), generator=rng)
    for read in data.batches(order.split(batch)[:steps]):
        loss = loss_on(model, data, read, rng)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        after_step()
        total += loss.detach() * len(read.rows)
        seen += len(read.rows)
    loss = total.item() / seen
    require_finite(loss, "loss of training", "a lower lr")
    return loss


@torch.inference_mode()
def accuracy(model: nn.Module, data: Images, batch: int = 250) -> float:
    """Return the top-1 accuracy of a model in percent, on unaugmented images."""
    model.eval()
    correct = torch.zeros((), device=data.device)
    for images, labels, _ in data.in_order(batch):
        correct += (model(data.preprocess(images)).argmax(1) == labels).sum()
    return 100.0 * correct.item() / len(data.labels)


@torch.inference_mode()
def mean_loss(model: nn.Module, data: Images, batch: int = 250) -> float:
    """Return the mean cross-entropy of a model on unaugmented images."""
    model.eval()
    total = torch.zeros((), device=data.device)
    for images, labels, _ in data.in_order(batch):
        total += F.cross_entropy(model(data.preprocess(images)), labels, reduction="sum")
    return total.item() / len(data.labels)


def optimiser_for(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    name: OptimiserName = "adamw",
    decayed: Decayed = "all",
) -> torch.optim.Adam:
    """Return AdamW, or Adam, with betas (0.9, 0.999) for all parameters of a model.

    ``decayed`` says which of them decay: all, or those of two or more dimensions.
    """
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
    groups: list[dict[str, Any]] = [{"params": list(model.parameters())}]
    if decayed == "matrices":
        parts = [[p for p in model.parameters() if (p.dim() > 1) == wide] for wide in (True, False)]
        groups = [{"params": parts[0]}, {"params": parts[1], "weight_decay": 0.0}]
    # Fused: one kernel for all parameters; small networks spend most of their step here otherwise.
    return kind(groups, lr=lr, weight_decay=weight_decay, fused=True)


def schedule_for(
    optimiser: torch.optim.Optimizer, epochs: int, schedule: ScheduleConfig | None = None
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a schedule of a fixed number of epochs, as ScheduleConfig describes it.

    Without one it is that of steps: times 0.2 after 2/3 and again after 5/6 of the epochs.
    """
    if schedule is None or schedule.kind == "steps":
        milestones = [max(1, 2 * epochs // 3), max(1, 5 * epochs // 6)]
        return torch.optim.lr_scheduler.MultiStepLR(optimiser, milestones, gamma=0.2)
    length = schedule.smoothing * epochs
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda epoch: (1 + math.cos(math.pi * epoch / length)) / 2
    )


def evaluation_epochs(
    epochs: int, count: int | None, every: int | None = None, after: float = 0.0
) -> set[int]:
    """Return the epochs (counted from 1) that end with an evaluation; the last always does.

    They are ``every`` so many epochs, or evenly spread and ``count`` in number; none is before the
    share ``after`` of all.
    """
    spread = every or max(1, epochs // (count or 1))
    return {epoch for epoch in range(epochs, 0, -spread) if epoch > after * epochs}


def epochs_of(recipe: TrainingSettings, images: int) -> tuple[int, int | None]:
    """Return the epochs of a training on so many images, and the steps of the last one.

    The steps are None where the recipe counts epochs.
    """
    if recipe.steps is None:
        return recipe.epochs or 0, None
    whole, rest = divmod(recipe.steps, -(-images // recipe.batch))
    return (whole + 1, rest) if rest else (whole, None)


def train_epochs(
    model: nn.Module,
    data: Images,
    recipe: TrainingSettings,
    key: Key,
    checkpoint: Checkpoint,
    name: str,
    loss_on: BatchLoss,
    after_epoch: Callable[[int, float], list[Row]],
    after_step: Callable[[], None] = lambda: None,
    more: Mapping[str, Stateful] | None = None,
) -> list[Row]:
    """Train for the recipe's epochs or steps; return the rows of all epochs.

    Changes ``model`` in place. ``after_epoch`` takes the epochs so far and the mean training loss
    of the last, and gives its rows. ``more`` has what ``after_step`` changes, by name: it is saved
    and restored with the model.
    """
    epochs, last_steps = epochs_of(recipe, len(data.labels))
    optimiser = optimiser_for(
        model, recipe.lr, recipe.weight_decay, recipe.optimiser, recipe.decayed
    )
    schedule = schedule_for(optimiser, epochs, recipe.schedule)
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule, **(more or {})}
    state = checkpoint.load(name, *parts, "epoch", "history") or {"epoch": 0, "history": []}
    restore(parts, state)
    history: list[Row] = state["history"]
    with progress(name, epochs, state["epoch"]) as bar:
        for epoch in range(state["epoch"], epochs):
            steps = last_steps if epoch + 1 == epochs else None
            loss = train_epoch(
                model, optimiser, data, recipe.batch, loss_on, (*key, epoch), after_step, steps
            )
            schedule.step()
            history += after_epoch(epoch + 1, loss)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()
            if checkpoint.due():
                checkpoint.save(name, snapshot(parts) | {"epoch": epoch + 1, "history": history})
    return history


def train_to_length(
    model: nn.Module,
    data: Images,
    test: Images,
    recipe: TrainingSettings,
    key: Key,
    checkpoint: Checkpoint,
    name: str,
    loss_on: BatchLoss | None = None,
) -> dict[str, float]:
    """Train for the recipe's epochs or steps; without ``loss_on``, on labels of classes.

    Changes ``model`` in place. Returns accuracies in percent: ``top1`` after the last epoch, the
    number to report, and ``best_top1`` over the evaluations, as the field reports it.
    """
    epochs, _ = epochs_of(recipe, len(data.labels))
    evaluated = evaluation_epochs(epochs, recipe.evaluations, recipe.every, recipe.after)

    def measured(epoch: int, _: float) -> list[float]:
        return [accuracy(model, test)] if epoch in evaluated else []

    loss_on = loss_on or class_loss(recipe.cutmix)
    history = train_epochs(model, data, recipe, key, checkpoint, name, loss_on, measured)
    return {"top1": history[-1], "best_top1": max(history)}


def snapshot(parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Return the states of models, optimisers and schedules by name."""
    return {name: part.state_dict() for name, part in parts.items()}


def restore(parts: Mapping[str, Stateful], state: dict[str, Any]) -> None:
    """Give models, optimisers and schedules the states that ``state`` has of them."""
    for name in parts.keys() & state.keys():
        parts[name].load_state_dict(copy.deepcopy(state[name]))
