"""Pixel optimisation: objectives against plain code, range, keys, and resumption."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import SPEC, changed
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.models.condensation import CondensationConfig, NetworkConfig
from lgd_core.config.models.dataset import JitterConfig
from lgd_core.distill.condensation import Condenser, condense, initial_pixels
from lgd_core.distill.matching import distribution, gradient, siamese
from lgd_core.networks.augment import augment
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.features import embed
from lgd_core.networks.training import Images

NETWORK = NetworkConfig(
    life=3,
    warm_up=1,
    steps=2,
    batch=8,
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    cutmix=True,
)
COMMON = CondensationConfig(steps=7, momentum=0.5, real_batch=6, network=NETWORK)
RECIPES = {
    "distribution": changed(COMMON, objective="distribution", factor=1, lr=1.0),
    "gradient": changed(COMMON, objective="gradient", factor=2, lr=3e-3),
}
objectives = pytest.mark.parametrize("objective", ["distribution", "gradient"])


def condenser(real: Images, objective: str, chunk: int = 3, **changes: object) -> Condenser:
    recipe = changed(RECIPES[objective], **changes)
    return Condenser(real, [0, 1, 2], SPEC, recipe, (0, 1), MicroBatches(chunk))


def start(factor: int = 1) -> Tensor:
    """Return 2 stored images per class of noise, (3, 2, 3, 16, 16)."""
    rng = torch.Generator().manual_seed(3)
    noise = torch.randint(0, 256, (6 * factor**2, 3, 16, 16), generator=rng, dtype=torch.uint8)
    return initial_pixels(noise, 3, factor)


def batches() -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(5)
    real, synthetic = (torch.randn(3, n, 3, 16, 16, generator=rng) for n in (6, 4))
    return real, synthetic, torch.tensor([2, 0, 1])


def plain_distribution(network: nn.Module, real: Tensor, synthetic: Tensor) -> Tensor:
    before_last = nn.Sequential(*list(network)[:-1])
    means = [before_last(images).mean(0) for images in (real, synthetic)]
    return ((means[0] - means[1]) ** 2).sum()


def plain_gradient(network: nn.Module, real: Tensor, synthetic: Tensor, label: int) -> Tensor:
    total = torch.zeros(())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            found = []
            for images in (real, synthetic):
                loss = F.cross_entropy(network(images), torch.full((len(images),), label))
                found += torch.autograd.grad(loss, module.weight, create_graph=True)
            total = total + (found[0] - found[1]).abs().sum()
    return total


@pytest.fixture
def trainable() -> nn.Module:
    return build_network(SPEC, "matched")


@objectives
def test_objectives_are_those_of_a_plain_loop_over_classes(
    double: None, trainable: nn.Module, objective: str
) -> None:
    trainable = trainable.double()
    real, synthetic, labels = (t.double() if t.is_floating_point() else t for t in batches())
    synthetic.requires_grad_()
    found = {"distribution": distribution, "gradient": gradient}[objective](
        trainable, real, synthetic, labels
    )
    expected = torch.stack(
        [
            plain_gradient(trainable, r, s, y)
            if objective == "gradient"
            else plain_distribution(trainable, r, s)
            for r, s, y in zip(real, synthetic, labels.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(x.sum(), synthetic)[0] for x in (found, expected)]
    torch.testing.assert_close(*slopes)
    assert slopes[0].abs().sum() > 0


@objectives
def test_equal_images_are_at_no_distance(trainable: nn.Module, objective: str) -> None:
    real, _, labels = batches()
    function = {"distribution": distribution, "gradient": gradient}[objective]
    assert function(trainable, real, real.clone(), labels).abs().max() < 1e-5


def test_embeddings_are_what_the_last_layer_reads(trainable: nn.Module) -> None:
    images = batches()[0][0]
    features, logits = embed(trainable, images)
    torch.testing.assert_close(trainable[-1](features), logits)


def test_real_and_synthetic_images_of_a_class_share_one_draw(bright: Images) -> None:
    jitter = JitterConfig(brightness=0.4, contrast=0.4, saturation=0.4)
    recipe = changed(bright.augment, jitter=jitter, lighting=0.1)
    images = torch.rand(3, 1, 3, 16, 16)
    real, synthetic = images.expand(-1, 4, -1, -1, -1), images.expand(-1, 2, -1, -1, -1)
    rngs = [torch.Generator().manual_seed(label) for label in range(3)]
    views = torch.cat(siamese(real, synthetic, recipe, rngs), dim=1)
    assert views.shape == (3, 6, 3, 16, 16)
    torch.testing.assert_close(views, views[:, :1].expand_as(views))
    for label in range(3):
        alone = augment(images[label], recipe, torch.Generator().manual_seed(label))
        torch.testing.assert_close(views[label, :1], alone)
    drawn = torch.cat([views[:1], siamese(real[:1], synthetic[:1], recipe, rngs[1:2])[0]], 1)
    assert not torch.allclose(drawn[0, 0], drawn[0, -1]), "another draw, another view"


@pytest.mark.parametrize(("objective", "lr"), [("distribution", 0.2), ("gradient", 0.01)])
def test_optimisation_lowers_the_distance_to_new_networks(
    bright: Images, objective: str, lr: float
) -> None:
    job = condenser(bright, objective, steps=20, lr=lr)
    before = start(job.recipe.factor)
    after = condense(job, before, Checkpoint(None))
    judge = dataclasses.replace(job, key=(0, 99))
    means = []
    for pixels in (before, after):
        distances = [judge.gradients(judge.network(n)[0], pixels, n)[1] for n in range(5)]
        means.append(sum(distances) / 5)
    assert means[1] < 0.9 * means[0]


@objectives
def test_pixels_stay_in_range_however_far_they_would_go(bright: Images, objective: str) -> None:
    job = condenser(bright, objective, lr=100.0, steps=2)
    pixels = condense(job, start(job.recipe.factor), Checkpoint(None))
    assert (pixels.min(), pixels.max()) == (0, 1)


def test_factor_2_starts_from_four_times_as_many_images(bright: Images) -> None:
    assert start(2).shape == start(1).shape == (3, 2, 3, 16, 16)


@objectives
@pytest.mark.parametrize("saves", [1, 3, 5])
def test_an_interrupted_increment_ends_as_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after: Callable, objective: str, saves: int
) -> None:
    """Killed after the first step, where a network's life ends, and within a life."""
    job = condenser(bright, objective)
    first = start(job.recipe.factor)
    expected = condense(job, first, Checkpoint(None))
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        condense(job, first, Checkpoint(tmp_path, 0))
    assert torch.equal(condense(job, first, Checkpoint(tmp_path, 0)), expected)
    assert not torch.equal(expected, first)


@objectives
def test_shards_and_batches_draw_the_same(bright: Images, objective: str) -> None:
    whole = condenser(bright, objective)
    first = start(whole.recipe.factor)
    expected = condense(whole, first, Checkpoint(None))
    one_by_one = condenser(bright, objective, chunk=1)
    shard = dataclasses.replace(whole, classes=[2])
    for found, wanted in (
        (condense(one_by_one, first, Checkpoint(None)), expected),
        (condense(shard, first[2:], Checkpoint(None)), expected[2:]),
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-3)


def test_networks_are_renewed_at_the_end_of_their_life_and_trained(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    born, turns = [], []
    network, train = Condenser.network, Condenser.train
    monkeypatch.setattr(
        Condenser, "network", lambda self, step: born.append(step) or network(self, step)
    )
    monkeypatch.setattr(
        Condenser,
        "train",
        lambda self, *a: turns.append((a[2], *a[3])) or train(self, *a),
    )
    condense(condenser(bright, "distribution", steps=5), start(), Checkpoint(None))
    assert born == [0, 0, 3], "the first is built before it is known what to resume"
    assert turns == [(0, 0), (0, 1, 2), (0, 3, 4), (0, 5, 6), (3, 0), (3, 1, 2), (3, 3, 4)]


def test_real_batches_are_no_larger_than_the_smallest_class(bright: Images) -> None:
    labels = bright.labels.clone()
    labels[::3] = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    job = condenser(dataclasses.replace(bright, labels=labels), "distribution")
    assert job.real_batch == 4
    assert condense(job, start(), Checkpoint(None)).shape == (3, 2, 3, 16, 16)
