"""Quality of a prior: reconstruction by its autoencoder, and samples compared by a classifier."""

import torch
from torch import Tensor

from lgd_core.analysis.fidelity import real_rows
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.settings import StoredImages
from lgd_core.data.streams import StoredPixels
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.context import prior_labels, unguided_increment
from lgd_core.distill.drawing import draw

PER_CLASS = 100


def real_samples(images: StoredPixels, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return random real images and labels by class, PER_CLASS each or as many as all have."""
    rows = real_rows(labels, classes, PER_CLASS, 0)
    return images[rows], labels[rows]


def reconstruction_psnr(prior: Prior, images: Tensor) -> float:
    """Return the PSNR in dB, over all pixels, of uint8 images passed through the autoencoder."""
    decoded = prior.decode_images(prior.encode(images))
    error = (decoded.float() / 255 - images.float() / 255).square().mean()
    return -10 * error.log10().item()


def draw_samples(
    prior: Prior,
    stored: StoredImages,
    labels_of_prior: list[int],
    sampler: SamplerConfig,
    per_class: int,
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Draw unguided samples: uint8 ``images`` (classes x per_class, C, H, W) and ``labels``.

    ``labels_of_prior`` are the prior's labels of the classes; empty means 0, 1, 2, ...
    """
    classes = stored.classes
    told, key = prior_labels(labels_of_prior, classes), ("assess", 0)
    spec = unguided_increment(sampler, list(range(classes)), told, per_class, key)
    images = draw(prior, Artifacts(), spec, checkpoint)[0]["images"]
    labels = torch.arange(classes).repeat_interleave(per_class)
    return {"images": images.flatten(0, 2), "labels": labels}
