"""The inputs of an increment, and functions that several sources of images share."""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.base import Config
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.settings import SeenImages
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.spec import IncrementSpec

# Candidates as drawing.draw returns them, and the guidance trace: by guidance and step index the
# mean ratio of change to noise; empty if nothing is sampled.
Candidates = tuple[dict[str, Tensor], dict[str, dict[int, float]]]

Keys = TypeVar("Keys", bound=Config)
OtherKeys = TypeVar("OtherKeys", bound=Config)


@dataclass(frozen=True)
class SourceContext(Generic[Keys]):
    """The inputs of one increment, or of one shard of its classes.

    ``settings`` are those of the source, ``ipc`` the images per class, ``labels`` the classes of
    the shard, ``prior_labels`` the prior's labels of all classes of the data set. ``key`` is (seed,
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
        """The arguments of unguided_increment after the sampler."""
        return self.labels, self.prior_labels, self.ipc, self.key

    def with_settings(self, settings: OtherKeys) -> "SourceContext[OtherKeys]":
        """Return the same context with the settings of another source."""
        return cast("SourceContext[OtherKeys]", replace(self, settings=settings))


def prior_labels(told: list[int], classes: int) -> list[int]:
    """Return the prior's label of every class; 0, 1, 2, ... if ``told`` is empty."""
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
            steps=sampler.steps,
            cfg_scale=sampler.cfg_scale,
            cfg_channels=sampler.cfg_channels,
            scheduler=sampler.scheduler,
            cfg_window=_pair(sampler.cfg_window),
        ),
        key=key,
        classes_per_batch=sampler.classes_per_batch,
        first_position=key[1] * ipc,
    )


def _pair(window: list[int] | None) -> tuple[int, int] | None:
    return None if window is None else (window[0], window[1])


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
