"""Real images chosen by how a network learned them: orders against plain sorting, errors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.tensors import save_tensors
from lgd_core.config.models.pruning import PruningConfig
from lgd_core.distill.pruning import by_strata, load_hardness, ordered, pruned_increment

RNG = torch.Generator().manual_seed(0)
LABELS = torch.arange(60) % 3
HARDNESS = torch.randn(60, generator=RNG)


def increment(number: int, size: int = 4, **recipe: object) -> Tensor:
    return pruned_increment(
        HARDNESS, LABELS, [0, 1, 2], PruningConfig.model_validate(recipe), size, (0, number)
    )


@pytest.mark.parametrize(("keep", "reverse"), [("hardest", True), ("easiest", False)])
def test_the_hardest_or_easiest_of_each_class_come_first(keep: str, reverse: bool) -> None:
    for label in range(3):
        own = (label == LABELS).nonzero().flatten().tolist()
        plain = sorted(own, key=lambda row: HARDNESS[row].item(), reverse=reverse)
        found = torch.cat([increment(k, keep=keep)[label] for k in range(2)])
        assert found.tolist() == plain[:8]


def test_the_cutoff_leaves_the_hardest_out() -> None:
    found = increment(0, keep="hardest", cutoff=0.25)
    for label in range(3):
        own = (label == LABELS).nonzero().flatten().tolist()
        plain = sorted(own, key=lambda row: HARDNESS[row].item(), reverse=True)
        assert found[label].tolist() == plain[5:9], "5 of 20 are left out"


def test_a_cutoff_that_leaves_too_few_is_refused() -> None:
    with pytest.raises(UserError, match=r"pruning\.cutoff: found 0\.9, which leaves 2 images"):
        increment(0, cutoff=0.9)
    with pytest.raises(UserError, match="class 0: found 20 training images, expected at least 24"):
        increment(5)


def test_strata_give_equally_many_until_they_are_used_up() -> None:
    scores = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 5.0, 5.1, 10.0])
    order = by_strata(scores, 2, torch.Generator().manual_seed(3))
    assert sorted(order.tolist()) == list(range(8))
    high = scores[order] >= 5.0
    for count in range(1, 9):
        budget = min(3, count // 2), min(3, -(-count // 2))
        assert budget[0] <= int(high[:count].sum()) <= max(budget[1], count - 5)


def test_strata_of_equal_scores_are_in_random_order() -> None:
    orders = [
        by_strata(torch.zeros(9), 5, torch.Generator().manual_seed(seed)).tolist()
        for seed in range(3)
    ]
    assert all(sorted(order) == list(range(9)) for order in orders)
    assert orders[0] != orders[1]


def test_equal_scores_are_drawn_by_seed_and_not_by_row() -> None:
    recipe = PruningConfig(score="forgetting", keep="hardest")
    drawn = [
        pruned_increment(torch.zeros(60), LABELS, [0, 1, 2], recipe, 4, (seed, 0))
        for seed in range(2)
    ]
    assert not torch.equal(*drawn)
    assert not torch.equal(drawn[0][0], (LABELS == 0).nonzero().flatten()[:4])
    assert torch.equal(LABELS[drawn[0]], torch.arange(3)[:, None].expand(3, 4))


def test_shards_choose_what_one_job_chooses() -> None:
    recipe = PruningConfig(keep="strata", strata=5)
    whole = pruned_increment(HARDNESS, LABELS, [0, 1, 2], recipe, 4, (0, 1))
    part = pruned_increment(HARDNESS, LABELS, [2], recipe, 4, (0, 1))
    assert torch.equal(part[0], whole[2])


def test_an_order_has_every_image_once() -> None:
    for keep in ("hardest", "easiest", "strata"):
        order = ordered(HARDNESS, PruningConfig(keep=keep), torch.Generator().manual_seed(0))
        assert sorted(order.tolist()) == list(range(60))


def test_scores_are_turned_so_that_hard_is_high(tmp_path: Path) -> None:
    path = tmp_path / "dynamics.safetensors"
    scores = {name: torch.arange(5.0) for name in ("el2n", "forgetting", "aum")}
    save_tensors(path, scores, {})
    assert load_hardness(path, "el2n", 5).tolist() == [0, 1, 2, 3, 4]
    assert load_hardness(path, "aum", 5).tolist() == [0, -1, -2, -3, -4]
    with pytest.raises(UserError, match=r"dynamics\.safetensors: .*el2n"):
        load_hardness(path, "el2n", 6)
