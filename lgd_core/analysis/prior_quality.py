"""Quality of a prior: reconstruction by its autoencoder, and samples compared by a classifier."""

import torch
from torch import Tensor, nn

from lgd_core.analysis.feature_distances import frechet_distance, precision_recall
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.settings import StoredImages
from lgd_core.data.real_images import real_increment
from lgd_core.data.streams import StoredPixels
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.context import prior_labels, unguided_increment
from lgd_core.distill.selection import Artifacts, draw
from lgd_core.networks.features import penultimate
from lgd_core.networks.training import Images

PER_CLASS = 100
FEWEST = 4  # precision and recall need three nearest neighbours


def real_samples(images: StoredPixels, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return random real images and labels by class, PER_CLASS each or as many as all have."""
    smallest = int(labels.bincount(minlength=classes).min())
    rows = real_increment(labels, classes, min(PER_CLASS, smallest), 0, 0).flatten()
    return images[rows], labels[rows]


def check_counts(counts: dict[str, int]) -> None:
    """Raise UserError if real images of a kind are too few; ``counts`` maps kind to number."""
    for kind, count in counts.items():
        if count < FEWEST:
            raise UserError(
                f"prior_quality.json: found {count} {kind} images, expected at least {FEWEST}; see "
                "source.validation_fraction"
            )


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


def sample_quality(network: nn.Module, drawn: Images, real: Images) -> dict[str, float]:
    """Compare drawn with real images in the features of a classifier of real images.

    ``recognised`` is the share of drawn images classified as their own class, in percent.
    ``frechet_distance``, ``precision`` and ``recall`` are from feature_distances.
    """
    features, logits = penultimate(network, drawn)
    real_features, _ = penultimate(network, real)
    precision, recall = precision_recall(real_features.numpy(), features.numpy())
    recognised = (logits.argmax(1) == drawn.labels.cpu()).float().mean().item()
    return {
        "recognised": 100 * recognised,
        "frechet_distance": frechet_distance(features.numpy(), real_features.numpy()),
        "precision": precision,
        "recall": recall,
    }
