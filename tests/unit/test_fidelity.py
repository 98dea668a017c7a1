"""Fidelity and diversity of images in features, against plain implementations on tiny data."""

import numpy as np
import pytest
import torch

from lgd_core.analysis.feature_distances import density_coverage, precision_recall, vendi_score
from lgd_core.analysis.fidelity import real_rows

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(30, 4)).astype(np.float32)
DRAWN = RNG.normal(1.0, 0.5, size=(20, 4)).astype(np.float32)


def radius(points: np.ndarray, index: int, k: int) -> float:
    """Return the distance of a point to its k-th nearest neighbour."""
    return sorted(np.linalg.norm(points - points[index], axis=1))[k]


def inside(point: np.ndarray, centres: np.ndarray, index: int, k: int) -> bool:
    return bool(np.linalg.norm(point - centres[index]) <= radius(centres, index, k))


def test_precision_and_recall_count_points_within_balls() -> None:
    precision = np.mean([any(inside(x, REAL, i, 3) for i in range(30)) for x in DRAWN])
    recall = np.mean([any(inside(x, DRAWN, i, 3) for i in range(20)) for x in REAL])
    assert precision_recall(REAL, DRAWN) == pytest.approx((precision, recall))
    assert 0 < recall < precision


@pytest.mark.parametrize("k", [1, 5])
def test_density_and_coverage_count_balls_around_real_ones(k: int) -> None:
    density = sum(inside(x, REAL, i, k) for x in DRAWN for i in range(30)) / (k * 20)
    coverage = np.mean([any(inside(x, REAL, i, k) for x in DRAWN) for i in range(30)])
    assert density_coverage(REAL, DRAWN, k) == pytest.approx((density, coverage))
    assert 0 < coverage < 1


def test_as_many_of_the_same_distribution_have_density_1_and_coverage_31_of_32() -> None:
    real, drawn = RNG.normal(size=(2, 1500, 3))
    density, coverage = density_coverage(real, drawn)
    assert density == pytest.approx(1, abs=0.08)
    assert coverage == pytest.approx(31 / 32, abs=0.02)


def test_vendi_score_is_the_effective_number_of_images_of_a_class() -> None:
    same, apart = np.ones((4, 4), np.float32), np.eye(4, dtype=np.float32)
    features, labels = np.concatenate([same, apart]), np.repeat([0, 1], 4)
    assert vendi_score(same, np.zeros(4)) == pytest.approx(1, rel=1e-4)
    assert vendi_score(apart * 7, np.zeros(4)) == pytest.approx(4)
    assert vendi_score(features, labels) == pytest.approx(2.5, rel=1e-4)


def test_vendi_score_is_the_entropy_of_cosines_by_hand() -> None:
    cosines = np.array(
        [[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x in DRAWN] for y in DRAWN]
    )
    shares = [value for value in np.linalg.eigvalsh(cosines / 20) if value > 1e-6]
    by_hand = np.exp(-sum(share * np.log(share) for share in shares))
    assert vendi_score(DRAWN, np.zeros(20)) == pytest.approx(by_hand, rel=1e-3)


def test_real_images_are_as_many_as_asked_or_as_all_classes_have() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert labels[real_rows(labels, 2, 1, 0)].tolist() == [0, 1]
    assert labels[real_rows(labels, 2, 9, 0)].tolist() == [0, 0, 1, 1]
