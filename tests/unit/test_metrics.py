"""Numbers about sets of images."""

import math

import numpy as np
import pytest

from lgd_core.analysis.feature_distances import frechet_distance, precision_recall
from lgd_core.analysis.metrics import mean_off_diagonal, mean_std


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_spread_is_the_sample_standard_deviation() -> None:
    assert mean_std([1.0, 2.0, 6.0]) == pytest.approx((3.0, math.sqrt(7.0)))


def test_a_single_run_has_no_spread() -> None:
    mean, std = mean_std([5.0])
    assert mean == 5.0
    assert math.isnan(std)


def test_redundancy_leaves_the_diagonal_out() -> None:
    assert mean_off_diagonal([[100, 1, 2], [3, 100, 4], [5, 6, 100]]) == 3.5
    assert mean_off_diagonal([[100]]) is None


def test_frechet_distance_is_zero_for_equal_sets_and_symmetric(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(500, 4)), 2 * rng.normal(size=(400, 4)) + 1
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))


def test_frechet_distance_of_a_shift_is_its_squared_length(rng: np.random.Generator) -> None:
    x = rng.normal(size=(300, 3))
    assert frechet_distance(x, x + np.array([1.0, 2.0, 2.0])) == pytest.approx(9.0, rel=1e-6)


def test_frechet_distance_of_scaled_axes_has_a_closed_form(rng: np.random.Generator) -> None:
    x = rng.normal(size=(300, 3))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    scales = np.array([1.0, 2.0, 4.0])
    # Unit covariance against diag(1, 4, 16): the sum of (1 - scale) squared.
    assert frechet_distance(x, x * scales) == pytest.approx(0 + 1 + 9, rel=1e-6)


def covered(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    inside = 0
    for point in points:
        for i, centre in enumerate(centres):
            others = np.delete(centres, i, axis=0)
            radius = np.sort(np.linalg.norm(others - centre, axis=1))[neighbours - 1]
            if np.linalg.norm(point - centre) <= radius:
                inside += 1
                break
    return inside / len(points)


def test_precision_and_recall_agree_with_their_definition(rng: np.random.Generator) -> None:
    real, drawn = rng.normal(size=(60, 3)), 0.6 * rng.normal(size=(40, 3)) + 1
    found = precision_recall(real, drawn, 3)
    assert found == pytest.approx((covered(drawn, real, 3), covered(real, drawn, 3)))
    assert found[0] != found[1]


def test_a_collapsed_set_is_precise_and_recalls_little(rng: np.random.Generator) -> None:
    real = rng.normal(size=(200, 2))
    precision, recall = precision_recall(real, 0.01 * rng.normal(size=(50, 2)))
    assert precision == 1.0
    assert recall < 0.1


def test_sets_far_apart_have_neither(rng: np.random.Generator) -> None:
    real = rng.normal(size=(50, 2))
    assert precision_recall(real, real + 100) == (0.0, 0.0)
