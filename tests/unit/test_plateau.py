"""Training of learners: plateau, squeeze, average."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SPEC, changed
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.method import LearnerConfig
from lgd_core.networks import learner as plateau
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.learner import plateaued, train_to_plateau
from lgd_core.networks.training import Images, class_loss, optimiser_for, train_epoch

LEARNER = LearnerConfig(
    lr=0.01,
    weight_decay=0.01,
    batch=10,
    cutmix=False,
    patience=3,
    min_delta=0.0,
    max_epochs=6,
    squeeze_epochs=4,
    min_lr_ratio=0.1,
    ema_decay=0.8,
)
NOWHERE = Checkpoint(None)


def network(key: int = 0) -> nn.Module:
    return build_network(SPEC, key)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([], False),
        ([1.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0], True),
        ([1.0, 0.9, 0.9, 0.9], False),
        ([1.0, 2.0, 3.0, 0.9, 1.0, 1.0], False),
        ([1.0, 2.0, 3.0, 0.9, 1.0, 1.0, 1.0], True),
        ([math.nan, math.nan, math.nan, math.nan], True),
    ],
)
def test_a_plateau_is_patience_epochs_without_a_lower_loss(
    losses: list[float], expected: bool
) -> None:
    assert plateaued(losses, changed(LEARNER, max_epochs=100)) == expected


def test_a_plateau_counts_only_what_falls_by_min_delta_and_ends_with_time() -> None:
    falling = [1.0, 0.995, 0.991, 0.9901]
    assert not plateaued(falling, LEARNER)
    assert plateaued(falling, changed(LEARNER, min_delta=0.01))
    assert plateaued(falling, changed(LEARNER, max_epochs=4))


def test_phases_are_a_plateau_at_full_rate_and_a_squeeze_to_the_least_ratio(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.0, 2.5, 2.1, 1.0, 0.9, 0.8, 0.7])
    rates = []

    def epoch(model: nn.Module, optimiser: torch.optim.Optimizer, *args: object) -> float:
        rates.append(optimiser.param_groups[0]["lr"])
        return next(losses)

    monkeypatch.setattr(plateau, "train_epoch", epoch)
    _, curve = train_to_plateau(network(), bright, None, LEARNER, ("key",), NOWHERE)
    assert [row["phase"] for row in curve] == ["plateau"] * 5 + ["squeeze"] * 4
    assert [row["loss"] for row in curve] == [3.0, 2.0, 2.0, 2.5, 2.1, 1.0, 0.9, 0.8, 0.7]
    cosine = [0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * i / 4)) / 2) for i in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.01] * 5 + cosine)
    assert rates[-1] == pytest.approx(0.001)


def test_held_out_images_decide_the_plateau_if_given(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_loss, held_out = iter([9.0, 8, 7, 6, 5, 4, 3, 2]), iter([1.0, 2, 2, 2, 1, 1, 1, 1])
    monkeypatch.setattr(plateau, "train_epoch", lambda *_: next(training_loss))
    monkeypatch.setattr(plateau, "mean_loss", lambda *_: next(held_out))
    _, curve = train_to_plateau(network(), bright, bright, LEARNER, ("key",), NOWHERE)
    assert [row["phase"] for row in curve] == ["plateau"] * 4 + ["squeeze"] * 4
    assert [row["monitored"] for row in curve] == [1, 2, 2, 2, 1, 1, 1, 1]
    assert [row["loss"] for row in curve] == [9, 8, 7, 6, 5, 4, 3, 2]


def test_the_learner_s_weights_are_an_average_with_warm_up(bright: Images) -> None:
    recipe = changed(LEARNER, max_epochs=4, squeeze_epochs=0, patience=100)
    found, _ = train_to_plateau(network(), bright, None, recipe, ("key",), NOWHERE)

    model, steps = network(), 0
    average = {name: weights.clone() for name, weights in model.state_dict().items()}

    def follow() -> None:
        nonlocal steps
        steps += 1
        decay = min(0.8, 1 - steps ** (-2 / 3))
        for name, weights in model.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * weights

    optimiser = optimiser_for(model, recipe.lr, recipe.weight_decay)
    for epoch in range(4):
        train_epoch(model, optimiser, bright, 10, class_loss(False), ("key", epoch), follow)
    assert steps == 12
    for name, weights in found.state_dict().items():
        assert torch.allclose(weights, average[name], atol=1e-5)
    assert not all(
        torch.allclose(weights, average[name], atol=1e-3)
        for name, weights in model.state_dict().items()
    )


@pytest.mark.parametrize("saves", [1, 6, 8, 10])
def test_an_interrupted_learner_ends_as_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    recipe = changed(LEARNER, cutmix=True, patience=100)
    undisturbed, curve = train_to_plateau(network(), bright, None, recipe, ("key",), NOWHERE)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        train_to_plateau(network(), bright, None, recipe, ("key",), Checkpoint(tmp_path, 0))
    resumed, found = train_to_plateau(
        network(7), bright, None, recipe, ("key",), Checkpoint(tmp_path, 0)
    )
    assert len(curve) == 10
    assert found == curve
    torch.testing.assert_close(resumed.state_dict(), undisturbed.state_dict(), rtol=0, atol=0)
