"""Training of networks on a set: an epoch of a student, a learner or a reference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional as tv

from benchmarks.measuring import Comparison, Machine, greatest_difference
from benchmarks.networks import SCALES, Scale, preprocess_of
from lgd_core.base.seeding import generator
from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.networks.augment import crop_boxes, cutmix
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, class_loss, optimiser_for, train_epoch

KEY = ("benchmark", 0)
AUGMENT = AugmentConfig(crop_scale=[0.7, 1.0], crop_ratio=[0.8, 1.25], flip=0.5)
# Images of a set, and images per step.
SETS = {"toy": (16, 8), "small": (500, 64), "full": (1000, 128)}
WORKERS = {"cpu": 0, "cuda": 8}  # of the plain loader; on a CPU they would take the network's cores


class Draw(NamedTuple):
    """An image of an epoch and how it is augmented."""

    file: Path
    label: int
    box: tuple[int, int, int, int]
    flipped: bool


class Files(Dataset):
    """Images read and augmented one by one, each as it was drawn."""

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int]:
        with Image.open(draw.file) as image:
            pixels = tv.to_dtype(tv.pil_to_tensor(image), torch.float32, scale=True)
        size = list(pixels.shape[-2:])
        pixels = tv.resized_crop(pixels, *draw.box, size, antialias=False)
        return tv.horizontal_flip(pixels) if draw.flipped else pixels, draw.label


@dataclass(frozen=True)
class Epoch:
    """An epoch on a set that is in memory and in a folder, with the network that learns it."""

    scale: Scale
    data: Images
    files: list[Path]
    batch: int
    optimiser: Callable[[nn.Module], torch.optim.Optimizer]

    def start(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return a new network and its optimiser."""
        model = build_network(self.scale.spec, *KEY).to(self.data.device)
        return model, self.optimiser(model)

    @property
    def steps(self) -> int:
        return -(-len(self.files) // self.batch)

    def ours(self) -> list[Tensor]:
        """Train as students and learners do; return the weights."""
        model, optimiser = self.start()
        train_epoch(model, optimiser, self.data, self.batch, class_loss(mix=True), KEY)
        return [parameters_to_vector(model.parameters()).detach()]

    def plain(self) -> list[Tensor]:
        """Train on batches of a loader that reads and augments images one by one."""
        model, optimiser = self.start()
        model.train()
        batches, mixing = zip(*self.draws(), strict=True)
        loader = DataLoader(
            Files(), batch_sampler=batches, num_workers=WORKERS[self.data.device.type]
        )
        for (images, labels), rng in zip(loader, mixing, strict=True):
            images, labels = images.to(self.data.device), labels.to(self.data.device)
            images, order, own = cutmix(self.data.preprocess(images), rng)
            logits = model(images)
            other = labels[order.to(labels.device)]
            loss = own * F.cross_entropy(logits, labels) + (1 - own) * F.cross_entropy(
                logits, other
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return [parameters_to_vector(model.parameters()).detach()]

    def draws(self) -> Iterator[tuple[list[Draw], torch.Generator]]:
        """Yield the images of every batch, and the generator that mixes them.

        They are those that train_epoch draws, in its order.
        """
        rng, size = generator("epoch", *KEY), self.scale.train_size
        labels = self.data.labels.tolist()
        for rows in torch.randperm(len(labels), generator=rng).split(self.batch):
            boxes = crop_boxes(
                len(rows), size, size, AUGMENT.crop_scale, AUGMENT.crop_ratio, rng
            ).T.tolist()
            flipped = (torch.rand(len(rows), generator=rng) < AUGMENT.flip).tolist()
            drawn = zip(rows.tolist(), boxes, flipped, strict=True)
            yield (
                [Draw(self.files[row], labels[row], tuple(box), flip) for row, box, flip in drawn],
                rng.clone_state(),
            )
            cutmix(torch.empty(len(rows), 1, size, size), rng)


def epoch(machine: Machine, folder: Path) -> Epoch:
    """Return an epoch of the machine's size; its images are written to a folder."""
    scale, (count, batch) = SCALES[machine.size], SETS[machine.size]
    shape = (count, scale.channels, scale.train_size, scale.train_size)
    images = torch.randint(256, shape, generator=generator("images"), dtype=torch.uint8)
    files = [folder / f"{index}.png" for index in range(count)]
    for pixels, file in zip(images, files, strict=True):
        tv.to_pil_image(pixels).save(file)
    labels = torch.arange(count) % scale.classes
    preprocess = preprocess_of(scale, machine.device)
    data = Images(images.to(machine.device), labels.to(machine.device), preprocess, AUGMENT)
    return Epoch(scale, data, files, batch, adamw)


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of students and learners."""
    return optimiser_for(model, 3.0e-3, 0.01)


def descent(model: nn.Module) -> torch.optim.Optimizer:
    """Return plain gradient descent: AdamW makes steps of the last bits of small gradients."""
    return torch.optim.SGD(model.parameters(), lr=0.01)


def comparison(at: Epoch) -> Comparison[list[Tensor]]:
    """Compare the training of an epoch, step by step."""
    checked = replace(at, optimiser=descent)
    return Comparison(
        name="training",
        unit="step",
        plain=at.plain,
        plain_units=at.steps,
        ours=at.ours,
        units=at.steps,
        checked=(checked.ours, checked.plain),
        differ=greatest_difference,
        tolerance=1e-3,
        counted=at.ours,
        goal=5.0 if at.data.device.type == "cuda" else 1.5,
    )
