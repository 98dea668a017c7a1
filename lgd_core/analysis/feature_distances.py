"""Distances between sets of features; not in metrics, since scikit-learn takes seconds."""

import numpy as np
from scipy.linalg import sqrtm
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
    return _covered(drawn, real, neighbours), _covered(real, drawn, neighbours)


def _covered(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    index = NearestNeighbors(n_neighbors=neighbours + 1).fit(centres)
    radii = index.kneighbors(centres)[0][:, -1]
    distances = np.sqrt(
        np.maximum(
            np.square(points).sum(1)[:, None]
            + np.square(centres).sum(1)[None]
            - 2 * points @ centres.T,
            0,
        )
    )
    return float((distances <= radii[None]).any(1).mean())
