"""Labels of a teacher: distributions over classes, stored per image or made for every batch.

Stored labels are kept with an image or a region of it, as their largest probabilities in half
precision (FKD, Shen and Xing, 2022; LPQLD, 2024). Labels made for a batch are those of exactly the
augmented and mixed images that the student sees (RDED, Sun et al., 2024).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.devices import moved
from lgd_core.base.digests import Joined, digest
from lgd_core.base.errors import UserError
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.config.settings import StudentSettings
from lgd_core.data.distilled import StoredSet
from lgd_core.networks.augment import cutmix
from lgd_core.networks.training import Batch, BatchLoss, Images, class_loss, training_batch


@dataclass(frozen=True)
class StoredLabels:
    """Labels of N images over ``count`` classes: ``log_probabilities`` (N, k) in half precision.

    ``classes`` (N, k) says which classes they are of, where k is less than ``count``; what is left
    of a label is then spread evenly over the others. None where labels are whole.
    """

    log_probabilities: Tensor
    classes: Tensor | None
    count: int

    @property
    def bytes(self) -> int:
        """Size of the labels in bytes."""
        return sum(part.numel() * part.element_size() for part in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Return what is stored."""
        parts = {"log_probabilities": self.log_probabilities}
        return parts if self.classes is None else parts | {"classes": self.classes}

    def to(self, device: torch.device) -> "StoredLabels":
        """Return the labels on a device."""
        parts = {name: part.to(device) for name, part in self.tensors().items()}
        return StoredLabels(parts["log_probabilities"], parts.get("classes"), self.count)

    def probabilities(self, rows: Tensor) -> Tensor:
        """Return the distributions (B, count) of some rows, each with a sum of 1."""
        full = self.log_probabilities[rows].float().exp()
        if self.classes is not None:
            rest = (1 - full.sum(1, keepdim=True)).clamp(min=0) / (self.count - full.shape[1])
            classes = self.classes[rows].long()
            full = rest.repeat(1, self.count).scatter(1, classes, full)
        return full / full.sum(1, keepdim=True)


@torch.inference_mode()
def label_images(
    teacher: nn.Module, data: Images, labels: LabelsConfig, batch: int = 250
) -> StoredLabels:
    """Return a teacher's distributions for images as they are, without augmentation."""
    found = [
        F.log_softmax(teacher(data.preprocess(read.images)) / labels.temperature, 1)
        for read in data.in_order(batch)
    ]
    count = found[0].shape[1]
    if labels.top is None or labels.top >= count:
        return StoredLabels(torch.cat(found).half().cpu(), None, count)
    values, classes = torch.cat(found).topk(labels.top)
    narrow = torch.int16 if count < 2**15 else torch.int32
    return StoredLabels(values.half().cpu(), classes.to(narrow).cpu(), count)


def save_labels(
    path: str | Path, labels: StoredLabels, labelled: str, metadata: dict[str, Any]
) -> None:
    """Write labels with the digest of the set that they belong to, see set_digest."""
    facts = {"labelled": labelled, "classes": labels.count}
    save_tensors(path, labels.tensors(), metadata | facts)


def load_labels(path: str | Path, expected: str) -> StoredLabels:
    """Read the labels of a set; raises UserError if its digest is not the expected one."""
    tensors, metadata = load_tensors(path)
    found = metadata["labelled"]
    if found != expected:
        raise UserError(
            f"{path}: labelled: found {found}, expected {expected}, the digest of the set's "
            "images; delete the file and run again"
        )
    return StoredLabels(tensors["log_probabilities"], tensors.get("classes"), metadata["classes"])


def read_logits(path: str | Path, count: int) -> np.ndarray:
    """Return stored labels as log-probabilities, float32 (count, classes).

    Raises UserError unless there is one label per stored image.
    """
    tensors, metadata = load_tensors(path)
    values = tensors["log_probabilities"]
    if len(values) != count:
        raise UserError(f"{path}: found {len(values)} labels, expected {count}, one per image")
    labels = StoredLabels(values, tensors.get("classes"), metadata["classes"])
    return labels.probabilities(torch.arange(count)).log().numpy()


def set_digest(stored: StoredSet) -> str:
    """Return a digest of a set's images as they are stored, and of their classes.

    How a set is divided into parts makes no difference.
    """
    return digest([Joined(stored.images), Joined(stored.labels)])


def student_loss(
    settings: StudentSettings, teacher: nn.Module | None, stored: StoredLabels | None
) -> BatchLoss:
    """Return the loss by which a student learns: of classes, or of a teacher's distributions.

    The latter is the Kullback-Leibler divergence of the student's distribution from the label, both
    at the temperature, summed over classes and averaged over the batch, without a factor of the
    squared temperature (RDED). Raises ValueError where the teacher or the labels are not given that
    the settings ask for.
    """
    source, temperature = settings.labels.source, settings.labels.temperature
    if source == "class":
        return class_loss(settings.cutmix, settings.shuffle)
    if source == "online" and teacher is not None:
        return _OnlineLoss(settings.cutmix, settings.shuffle, temperature, teacher)
    if source == "stored" and stored is not None:
        return _StoredLoss(settings.cutmix, settings.shuffle, temperature, stored)
    raise ValueError(f"{source} labels: found neither teacher nor labels, expected them")


def taught_loss(settings: StudentSettings, teacher: nn.Module | None, data: Images) -> BatchLoss:
    """Return student_loss for a set whose stored labels, if it has any, are made here.

    ``teacher`` may be None for labels of classes alone.
    """
    stored = None
    if settings.labels.source == "stored" and teacher is not None:
        stored = label_images(teacher, data, settings.labels).to(data.device)
    return student_loss(settings, teacher, stored)


@dataclass(frozen=True)
class _SoftLoss:
    """What losses of both kinds of labels have in common."""

    mix: bool
    shuffle: int
    temperature: float

    def logarithms(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the logarithms of a network's probabilities (B, classes) at the temperature."""
        return F.log_softmax(network(images) / self.temperature, 1)


@dataclass(frozen=True)
class _OnlineLoss(_SoftLoss):
    teacher: nn.Module

    def __call__(
        self, model: nn.Module, data: Images, batch: Batch, rng: torch.Generator
    ) -> Tensor:
        images = training_batch(data, batch, rng, self.shuffle)
        weights = data.weights_of(batch)
        if self.mix:
            images, order, own = cutmix(images, rng)
            weights = _mixed(weights, order, own)
        with torch.no_grad():
            labels = self.logarithms(self.teacher, images)
        found = self.logarithms(model, images)
        return _divergence(found, labels, weights, log_target=True)


@dataclass(frozen=True)
class _StoredLoss(_SoftLoss):
    stored: StoredLabels

    def __call__(
        self, model: nn.Module, data: Images, batch: Batch, rng: torch.Generator
    ) -> Tensor:
        images = training_batch(data, batch, rng, self.shuffle)
        labels, weights = self.stored.probabilities(batch.rows), data.weights_of(batch)
        if self.mix:
            images, order, own = cutmix(images, rng)
            labels = own * labels + (1 - own) * labels[moved(order, labels.device)]
            weights = _mixed(weights, order, own)
        found = self.logarithms(model, images)
        return _divergence(found, labels, weights, log_target=False)


def _mixed(weights: Tensor | None, order: Tensor, own: float) -> Tensor | None:
    """Return the weights of mixed images: those of the two that each consists of, by their area."""
    if weights is None:
        return None
    return own * weights + (1 - own) * weights[moved(order, weights.device)]


def _divergence(found: Tensor, labels: Tensor, weights: Tensor | None, log_target: bool) -> Tensor:
    """Return the mean divergence of distributions (B, classes), each image's times its weight."""
    if weights is None:
        return F.kl_div(found, labels, reduction="batchmean", log_target=log_target)
    each = F.kl_div(found, labels, reduction="none", log_target=log_target).sum(1)
    return (each * weights).mean()
