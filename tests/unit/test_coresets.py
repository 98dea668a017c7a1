"""Greedy choices of real images, against plain loops and planted answers."""

import pytest
import torch
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.distill.coresets import (
    centred,
    coreset_increment,
    herding,
    kcenter,
    squared_distances,
    squared_norms,
)

LABELS = torch.tensor([0, 1, 2] * 8 + [1, 1, 1, 2])


def features() -> Tensor:
    return torch.randn(len(LABELS), 5, generator=torch.Generator().manual_seed(0)) + 3


def naive_herding(points: Tensor, count: int) -> list[int]:
    mean, picks = points.mean(0), []
    for _ in range(count):
        errors = {
            row: (points[[*picks, row]].mean(0) - mean).norm().item()
            for row in range(len(points))
            if row not in picks
        }
        picks.append(min(errors, key=errors.get))
    return picks


def naive_kcenter(points: Tensor, count: int) -> list[int]:
    picks = [(points - points.mean(0)).norm(dim=1).argmin().item()]
    for _ in range(1, count):
        nearest = {
            row: (points[picks] - points[row]).norm(dim=1).min().item()
            for row in range(len(points))
            if row not in picks
        }
        picks.append(max(nearest, key=nearest.get))
    return picks


NAIVE = {"herding": naive_herding, "kcenter": naive_kcenter}
both = pytest.mark.parametrize("source", ["herding", "kcenter"])


CHOICES = {"herding": herding, "kcenter": kcenter}


@both
def test_classes_of_unequal_size_get_the_picks_of_a_plain_loop(source: str) -> None:
    rows = coreset_increment(CHOICES[source], features(), LABELS, [0, 1, 2], 8, 0)
    for label in range(3):
        of_class = LABELS.eq(label).nonzero().flatten()
        picks = NAIVE[source](features()[of_class], 8)
        assert rows[label].tolist() == of_class[picks].tolist()


@both
def test_fewer_images_are_the_first_of_more(source: str) -> None:
    whole = coreset_increment(CHOICES[source], features(), LABELS, [0, 1, 2], 8, 0)
    parts = [
        coreset_increment(CHOICES[source], features(), LABELS, [0, 1, 2], 2, k) for k in range(4)
    ]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert len(set(whole.flatten().tolist())) == 24, "no image twice"


@both
def test_a_shard_chooses_what_all_classes_together_choose(source: str) -> None:
    whole = coreset_increment(CHOICES[source], features(), LABELS, [0, 1, 2], 2, 1)
    assert torch.equal(
        coreset_increment(CHOICES[source], features(), LABELS, [2, 0], 2, 1), whole[[2, 0]]
    )


def test_planted_picks() -> None:
    # On a line; the mean is 2, k-center spreads out, herding balances.
    points = torch.tensor([[0.0], [1.0], [2.1], [2.5], [4.4]])[None]
    exists = torch.ones(1, 5, dtype=torch.bool)
    line = centred(points, exists)
    assert kcenter(line, exists, 4).tolist() == [[2, 4, 0, 1]]
    assert herding(line, exists, 3).tolist() == [[2, 3, 1]]


@both
def test_equal_images_are_chosen_once_each(source: str) -> None:
    exists = torch.tensor([[True, True, True, False]])
    picks = {"herding": herding, "kcenter": kcenter}[source](torch.zeros(1, 4, 2), exists, 3)
    assert sorted(picks[0].tolist()) == [0, 1, 2]


def test_squared_distances_are_those_of_cdist() -> None:
    points, centres = features().view(4, 7, 5), features()[:4]
    expected = torch.cdist(points, centres[:, None])[..., 0].square()
    torch.testing.assert_close(
        squared_distances(points, squared_norms(points), centres), expected, rtol=1e-4, atol=1e-4
    )


def test_a_class_with_too_few_images_is_one_line() -> None:
    with pytest.raises(UserError, match="class 0: found 8 training images, expected at least 9"):
        coreset_increment(kcenter, features(), LABELS, [0, 1, 2], 3, 2)
