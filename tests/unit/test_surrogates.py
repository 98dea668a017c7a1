"""Surrogates: which checkpoints are kept, and the class gradients at them."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import SPEC, changed
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.models.dataset import ClassGradientsConfig, SurrogateConfig
from lgd_core.distill import surrogates
from lgd_core.distill.surrogates import (
    checkpoint_gradients,
    class_gradients,
    class_rows,
    train_surrogate,
)
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images

NOWHERE = Checkpoint(None)
CHUNKS = MicroBatches(64)
RECIPE = ClassGradientsConfig(
    surrogate=SurrogateConfig(epochs=6, batch=10, lr=0.01, weight_decay=0.01),
    threshold=0.7,
    max_checkpoints=5,
)


def surrogate(key: int = 0) -> nn.Module:
    return build_network(SPEC, key)


def train(data: Images, checkpoint: Checkpoint = NOWHERE, **changes: object) -> tuple:
    rows = class_rows(data.labels, 3, 4, 0)
    recipe = changed(RECIPE, **changes)
    return train_surrogate(surrogate(), data, rows, recipe, ("key",), CHUNKS, checkpoint)


def test_rows_are_random_of_their_class_and_all_of_a_small_one() -> None:
    labels = torch.tensor([2, 0, 1, 1, 0, 1, 1, 0, 1])
    rows = class_rows(labels, 3, 3, 0)
    assert [len(own) for own in rows] == [3, 3, 1]
    assert all((labels[own] == label).all() for label, own in enumerate(rows))
    assert sorted(rows[0].tolist()) == [1, 4, 7]
    assert len(rows[1].unique()) == 3
    drawn = {tuple(class_rows(labels, 3, 3, seed)[1].tolist()) for seed in range(20)}
    assert len(drawn) > 5, "the seed decides which"
    longer = torch.cat([labels, torch.tensor([2, 2, 2])])
    assert torch.equal(class_rows(longer, 3, 3, 0)[1], rows[1]), "keyed by class"


@pytest.mark.parametrize("largest", [1, 3, 64])
def test_class_gradients_are_means_over_images(bright: Images, largest: int) -> None:
    network, rows = surrogate(), class_rows(bright.labels, 3, 5, 0)
    expected = []
    for own in rows:
        images, labels = bright.images[own].float() / 255, bright.labels[own]
        loss = F.cross_entropy(network((images - 0.45) / 0.3), labels)
        parts = torch.autograd.grad(loss, list(network.parameters()))
        expected.append(torch.cat([part.flatten() for part in parts]))
    found = class_gradients(network, bright, rows, MicroBatches(largest))
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-6)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[tuple[float, float]]], None]:
    """Return a function that plants class gradients: after every epoch, two classes' angles."""

    def arm(angles: list[tuple[float, float]]) -> None:
        planted = iter(angles)

        def gradients(*_: object) -> Tensor:
            turned = [math.radians(angle) for angle in next(planted)]
            return torch.tensor([[math.cos(angle), math.sin(angle)] for angle in turned])

        monkeypatch.setattr(surrogates, "class_gradients", gradients)

    return arm


def test_checkpoints_are_kept_where_gradients_have_turned(bright: Images, plant: Callable) -> None:
    """By 45.6 degrees for a threshold of 0.7, from the one kept last, in the mean over classes."""
    plant([(0, 0), (30, 30), (60, 60), (20, 20), (60, 179), (60, 179)])
    checkpoints, curve = train(bright)
    assert [row["kept"] for row in curve] == [True, False, True, False, True, False]
    degrees = [math.cos(math.radians(angle)) for angle in (30, 60, 40)]
    mixed = (1 + math.cos(math.radians(119))) / 2
    assert [row["similarity"] for row in curve[1:]] == pytest.approx([*degrees, mixed, 1.0])
    assert curve[0]["similarity"] is None
    assert all(len(tensor) == 3 for tensor in checkpoints.values())


def test_gradients_that_never_turn_leave_the_first_checkpoint(
    bright: Images, plant: Callable
) -> None:
    plant([(10, 20)] * 6)
    checkpoints, curve = train(bright)
    assert [row["kept"] for row in curve] == [True] + [False] * 5
    assert {len(tensor) for tensor in checkpoints.values()} == {1}


def test_training_ends_with_the_last_checkpoint(bright: Images, plant: Callable) -> None:
    plant([(0, 0), (10, 10), (90, 90)])
    _, curve = train(bright, max_checkpoints=2)
    assert [row["kept"] for row in curve] == [True, False, True]


def test_checkpoints_are_the_weights_after_their_epochs(bright: Images) -> None:
    rows = class_rows(bright.labels, 3, 4, 0)
    model, always = surrogate(), changed(RECIPE, threshold=1.0, max_checkpoints=4)
    checkpoints, curve = train_surrogate(model, bright, rows, always, ("key",), CHUNKS, NOWHERE)
    assert len(curve) == 4
    assert curve[-1]["loss"] < curve[0]["loss"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(checkpoints[name][-1], tensor)
        assert not torch.equal(checkpoints[name][-2], tensor)


@pytest.mark.parametrize("saves", [1, 3, 5])
def test_an_interrupted_surrogate_ends_as_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    often = {"threshold": 0.99}
    expected, curve = train(bright, **often)
    assert 1 < sum(row["kept"] for row in curve) < 6, "some are kept, some not"
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        train(bright, Checkpoint(tmp_path, 0), **often)
    found, resumed = train(bright, Checkpoint(tmp_path, 0), **often)
    assert resumed == curve
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_gradients_at_checkpoints_resume_and_are_those_of_the_networks(
    bright: Images, tmp_path: Path, interrupt_after: Callable
) -> None:
    rows, networks = class_rows(bright.labels, 3, 4, 0), [surrogate(key) for key in range(3)]
    states = [network.state_dict() for network in networks]
    checkpoints = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    expected = [class_gradients(network, bright, rows, CHUNKS) for network in networks]

    def compute(checkpoint: Checkpoint) -> Tensor:
        return checkpoint_gradients(surrogate(9), checkpoints, bright, rows, CHUNKS, checkpoint)

    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        compute(Checkpoint(tmp_path))
    assert len(Checkpoint(tmp_path).load("gradients")["gradients"]) == 2
    assert torch.equal(compute(Checkpoint(tmp_path)), torch.stack(expected))
