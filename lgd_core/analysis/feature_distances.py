"""Distances between sets of features; not in metrics, since scikit-learn takes seconds."""

import numpy as np
from scipy.linalg import eigvalsh, sqrtm
from scipy.stats import entropy
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Return the Frechet distance between Gaussians fitted to features (N, d) and (M, d).

    Heusel et al. (2017). Values in these features are not comparable with those in Inception's.
    """
    means = [x.mean(0) for x in (features, others)]
    covariances = [np.cov(x, rowvar=False) for x in (features, others)]
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    trace = np.trace(covariances[0] + covariances[1] - 2 * root)
    return float(np.square(means[0] - means[1]).sum() + trace)


def precision_recall(
    real: np.ndarray, drawn: np.ndarray, neighbours: int = 3
) -> tuple[float, float]:
    """Return precision and recall of drawn features (M, d) against real ones (N, d).

    Kynkaanniemi et al. (2019): precision is the share of drawn features within the
    k-nearest-neighbour balls of the real ones, recall the share of real ones within the balls of
    the drawn ones.
    """
    precision = _balls_around(drawn, real, neighbours) > 0
    recall = _balls_around(real, drawn, neighbours) > 0
    return float(precision.mean()), float(recall.mean())


def density_coverage(
    real: np.ndarray, drawn: np.ndarray, neighbours: int = 5
) -> tuple[float, float]:
    """Return density and coverage of drawn features (M, d) against real ones (N, d).

    Naeem et al. (2020): density is the mean number of k-nearest-neighbour balls of the real
    features that a drawn one is in, divided by k, and may exceed 1; coverage is the share of real
    features with a drawn one in their ball. As many drawn features as real ones from the same
    distribution have a density of 1 and, for k = 5, a coverage of 0.97.
    """
    density = _balls_around(drawn, real, neighbours) / neighbours
    nearest = NearestNeighbors(n_neighbors=1).fit(drawn).kneighbors(real)[0][:, 0]
    return float(density.mean()), float((nearest <= _radii(real, neighbours)).mean())


def vendi_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the Vendi score of features (N, d) within a class, averaged over the labels (N,).

    Friedman and Dieng (2023), with the cosine as kernel: the exponential of the entropy of the
    eigenvalues of K / n, which is the effective number of different images, from 1 to n.
    """
    return float(np.mean([_effective_number(features[labels == c]) for c in np.unique(labels)]))


def _effective_number(features: np.ndarray) -> float:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions = features / np.maximum(lengths, np.finfo(features.dtype).tiny)
    eigenvalues = eigvalsh(directions @ directions.T / len(features))
    return float(np.exp(entropy(eigenvalues.clip(min=0))))


def _balls_around(points: np.ndarray, centres: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the number of the centres' k-nearest-neighbour balls that each point (N, d) is in."""
    radii = _radii(centres, neighbours)
    parts = pairwise_distances_chunked(
        points, centres, reduce_func=lambda distances, _: (distances <= radii).sum(1)
    )
    return np.concatenate(list(parts))


def _radii(centres: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the distance of each centre to its k-th nearest neighbour."""
    # A centre is the nearest of its own neighbours.
    index = NearestNeighbors(n_neighbors=neighbours + 1).fit(centres)
    return index.kneighbors(centres)[0][:, -1]
