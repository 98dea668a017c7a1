"""Drawn or distilled images compared with real ones in the features of a classifier."""

from torch import Tensor, nn

from lgd_core.analysis.feature_distances import (
    density_coverage,
    frechet_distance,
    precision_recall,
    vendi_score,
)
from lgd_core.base.errors import UserError
from lgd_core.data.real_images import real_increment
from lgd_core.networks.features import penultimate
from lgd_core.networks.training import Images

FEWEST = 6  # density and coverage need five nearest neighbours


def check_counts(target: str, counts: dict[str, int], advice: str) -> None:
    """Raise UserError, for ``target``, if images of a kind are too few; ``counts`` is by kind."""
    for kind, count in counts.items():
        if count < FEWEST:
            raise UserError(
                f"{target}: found {count} {kind} images, expected at least {FEWEST}; {advice}"
            )


def real_rows(labels: Tensor, classes: int, most: int, seed: int) -> Tensor:
    """Return random rows of real images, class by class: ``most`` each, or as many as all have."""
    smallest = int(labels.bincount(minlength=classes).min())
    return real_increment(labels, classes, min(most, smallest), seed, 0).flatten()


def sample_quality(network: nn.Module, drawn: Images, real: Images) -> dict[str, float]:
    """Compare drawn with real images in the features of a classifier of real images.

    ``recognised`` is the share of drawn images classified as their own class, in percent; all
    others are from feature_distances. They depend on the numbers of images, which should be equal.
    """
    features, logits = penultimate(network, drawn)
    real_features, _ = penultimate(network, real)
    found, known = features.numpy(), real_features.numpy()
    labels = drawn.labels.cpu()
    precision, recall = precision_recall(known, found)
    density, coverage = density_coverage(known, found)
    return {
        "recognised": 100 * (logits.argmax(1) == labels).float().mean().item(),
        "frechet_distance": frechet_distance(found, known),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "vendi_score": vendi_score(found, labels.numpy()),
    }
