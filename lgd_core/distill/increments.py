"""Increments as jobs make them: by a method's source of images, or for increment 0 by its seed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.external import seed_images
from lgd_core.config.kinds import image_sources
from lgd_core.config.models.base import Config
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.settings import DrawSettings, SeedSettings, SeenImages
from lgd_core.data.decoding import decode, fit
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.selection import Artifacts, IncrementSpec, draw
from lgd_core.distill.sources.prior import PriorSettings
from lgd_core.distill.sources.real import StoredSettings

# Candidates as selection.draw returns them, and the guidance trace: by guidance and step index the
# mean ratio of change to noise; empty where nothing is sampled.
Candidates = tuple[dict[str, Tensor], dict[str, dict[int, float]]]

Keys = TypeVar("Keys", bound=Config)


@dataclass(frozen=True)
class SourceContext(Generic[Keys]):
    """What an increment, or one shard of its classes, is made from.

    ``settings`` are those of the source, ``ipc`` the images per class, ``labels`` the classes of
    the shard, ``prior_labels`` what the prior calls every class of the data set; ``key`` is (seed,
    increment).
    """

    prior: Prior
    artifacts: Artifacts
    seen: SeenImages
    prior_labels: list[int]
    settings: Keys
    ipc: int
    labels: list[int]
    key: tuple[int, int]
    checkpoint: Checkpoint

    @property
    def drawn(self) -> tuple[list[int], list[int], int, tuple[int, int]]:
        """What is drawn: classes, what the prior calls all of them, images per class, the key."""
        return self.labels, self.prior_labels, self.ipc, self.key


def shard_classes(classes: int, shard: int, shards: int) -> list[int]:
    """Return the labels of one shard: contiguous runs whose lengths differ by one at most."""
    return [part.tolist() for part in np.array_split(np.arange(classes), shards)][shard]


def prior_labels(told: list[int], classes: int) -> list[int]:
    """Return what a prior calls every class; where nothing is told, 0, 1, 2, ..."""
    return told or list(range(classes))


def unguided_increment(
    sampler: SamplerConfig,
    labels: list[int],
    prior_labels: list[int],
    ipc: int,
    key: tuple[int | str, int],
) -> IncrementSpec:
    """Describe an increment drawn from the prior alone, one candidate per position.

    Arguments are those of SourceContext.
    """
    return IncrementSpec(
        classes=labels,
        prior_labels=prior_labels,
        positions=ipc,
        candidates=1,
        sampling=Sampling(
            steps=sampler.steps, cfg_scale=sampler.cfg_scale, cfg_channels=sampler.cfg_channels
        ),
        key=key,
        classes_per_batch=sampler.classes_per_batch,
        first_position=key[1] * ipc,
    )


def guided_increment(context: SourceContext[PriorSettings]) -> IncrementSpec:
    """Describe an increment of a method that draws from the prior."""
    settings = context.settings
    plain = unguided_increment(settings.sampler, *context.drawn)
    plain = replace(plain, candidates=settings.candidates)
    if settings.window is None:
        return plain
    first, last = settings.window
    full = settings.gradient == "full"
    sampling = replace(plain.sampling, window=(first, last), through_transformer=full)
    return replace(plain, sampling=sampling, guidance=settings.guidance)


def draw_candidates(context: SourceContext[DrawSettings]) -> Candidates:
    """Return the candidates of an increment for the classes of a shard, and the guidance trace."""
    settings = context.settings
    return image_sources()[settings.source].make(replace(context, settings=settings.keys))


def draw_seed(context: SourceContext[SeedSettings], folder: str | None) -> dict[str, Tensor]:
    """Return increment 0 of a method, not shared with another, as candidates.

    ``folder`` is that of the source folder.
    """
    settings = context.settings
    if settings.draw is not None:
        return draw_candidates(replace(context, settings=settings.draw))[0]
    if settings.sampler is not None:
        spec = unguided_increment(settings.sampler, *context.drawn)
        return draw(context.prior, context.artifacts, spec, context.checkpoint)[0]
    through = bool(settings.through_autoencoder)
    if folder is not None:
        return folder_candidates(folder, context, through)
    stored = StoredSettings(through_autoencoder=through)
    return image_sources()["real"].make(replace(context, settings=stored))[0]


def folder_candidates(
    folder: str | Path, context: SourceContext[SeedSettings], through_autoencoder: bool
) -> dict[str, Tensor]:
    """Return the first images by name of every class folder, resized and cropped to the data set.

    Raises UserError where folders or images are too few, see external.seed_images.
    """
    seen = context.seen
    files = seed_images(folder, seen, context.ipc)
    images = [fit(decode(file, seen.image.channels), seen.image.size) for file in files]
    ordered = torch.from_numpy(np.stack(images))
    return as_candidates(ordered, len(seen.classes), through_autoencoder, context.prior)


def as_candidates(
    images: Tensor, classes: int, through_autoencoder: bool, prior: Prior
) -> dict[str, Tensor]:
    """Shape class-major uint8 images as single candidates, with their latents and no scores."""
    latents = prior.encode(images)
    if through_autoencoder:
        images = prior.decode_images(latents)
    shape = (classes, len(images) // classes, 1)
    return {
        "images": images.unflatten(0, shape),
        "latents": latents.unflatten(0, shape),
        "scores": torch.full(shape, torch.nan),
    }
