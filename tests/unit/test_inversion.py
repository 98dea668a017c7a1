"""SRe2L's inversion: its loss against the plain way, what it reaches, resumption, checks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import CLASSES, SEEN, SIZE
from test_increments import context
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.inversion import InversionConfig
from lgd_core.config.recipes import Recipes
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.context import SourceContext
from lgd_core.distill.inversion import Inverter, statistics_distances
from lgd_core.distill.inversion import invert as inverted
from lgd_core.distill.sources.inverted import InvertedSettings
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, class_loss, optimiser_for, preprocessor, train_epoch

RECIPE = InversionConfig(steps=30, batch=2, roll=2)


@pytest.fixture
def trained(bright: Images) -> nn.Module:
    """A network with batch normalisation that knows bright from dark."""
    network = build_network(SEEN.network("ConvNet-2-w8-bn"), 0)
    optimiser = optimiser_for(network, 0.01, 0.0)
    for epoch in range(20):
        train_epoch(network, optimiser, bright, 12, class_loss(False), ("key", epoch))
    return network.eval().requires_grad_(False)


@pytest.fixture
def of(fixed_prior: Prior, trained: nn.Module) -> Callable[..., SourceContext]:
    def make(**changes: object) -> SourceContext:
        found = context(fixed_prior, artifacts=Artifacts(reference=trained), key=(5, 1), seen=SEEN)
        recipe = RECIPE.model_copy(update=changes)
        return replace(
            found, settings=InvertedSettings(through_autoencoder=False, inversion=recipe)
        )

    return make


def invert(job: SourceContext) -> torch.Tensor:
    return inverted(job, job.settings.inversion)


def inverter(network: nn.Module, **changes: object) -> Inverter:
    recipe = RECIPE.model_copy(update=changes)
    return Inverter(network, preprocessor(SEEN), recipe, (5, 1))


def test_the_loss_is_that_of_the_plain_way(trained: nn.Module) -> None:
    images = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    seen, distances = images, []
    for layer in trained:
        if isinstance(layer, nn.Sequential):
            for part in layer:
                if isinstance(part, nn.BatchNorm2d):
                    flat = seen.transpose(0, 1).flatten(1)
                    mean, variance = flat.mean(1), flat.var(1, unbiased=False)
                    distances.append(
                        ((mean - part.running_mean) ** 2).sum().sqrt()
                        + ((variance - part.running_var) ** 2).sum().sqrt()
                    )
                seen = part(seen)
        else:
            seen = layer(seen)
    logits, found = statistics_distances(trained, images)
    assert torch.allclose(logits, seen, atol=1e-5)
    assert [d.item() for d in found] == pytest.approx([d.item() for d in distances], rel=1e-4)
    expected = F.cross_entropy(seen, labels) + 0.01 * (10 * distances[0] + distances[1])
    assert inverter(trained).loss(images, labels).item() == pytest.approx(expected.item(), rel=1e-4)


def test_images_become_those_of_their_class_with_the_statistics_of_real_ones(
    of, trained: nn.Module
) -> None:
    job, preprocess = of(steps=150, batch=3), preprocessor(SEEN)
    images = invert(job)
    assert images.shape == (CLASSES * 2, 3, SIZE, SIZE)
    assert images.dtype == torch.uint8
    labels = torch.arange(CLASSES).repeat_interleave(2)
    assert (trained(preprocess(images / 255)).argmax(1) == labels).all()

    def distance(weight: float) -> float:
        made = invert(of(steps=150, batch=3, statistics_weight=weight))
        return sum(d.item() for d in statistics_distances(trained, preprocess(made / 255))[1])

    assert distance(1.0) < 0.7 * distance(0.0)


def test_no_handle_stays_on_the_network(of, trained: nn.Module) -> None:
    invert(of(steps=2))
    assert not any(module._forward_pre_hooks for module in trained.modules())


def test_views_are_rolled_by_at_most_the_limit(trained: nn.Module) -> None:
    pixels = torch.arange(SIZE * SIZE).view(1, 1, SIZE, SIZE).float().repeat(2, 3, 1, 1)
    whole = inverter(trained, crop_scale=[1.0, 1.0], roll=0)
    found = whole.view(pixels, torch.Generator().manual_seed(0))
    assert found.shape == pixels.shape
    rolls = set()
    for seed in range(30):
        rng = torch.Generator().manual_seed(seed)
        moved = inverter(trained, crop_scale=[0.08, 1.0], roll=2).view(pixels, rng)
        rolls.add(tuple(moved.flatten()[:3].tolist()))
    assert len(rolls) > 20, "every step draws anew"


@pytest.mark.parametrize("saves", [1, 40, 100])
def test_an_interrupted_inversion_ends_as_an_undisturbed_one(
    of, tmp_path: Path, interrupt_after, saves: int
) -> None:
    """Within the first batch, in a later one, near the end."""
    expected = invert(of())
    job = replace(of(), checkpoint=Checkpoint(tmp_path / "kept", 0))
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        invert(job)
    assert torch.equal(invert(job), expected)


def test_a_finished_batch_keeps_its_images_and_no_optimiser(of, tmp_path: Path) -> None:
    invert(replace(of(), checkpoint=Checkpoint(tmp_path / "kept", 0)))
    kept = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.pt"))
    assert kept == [f"kept/batch{n}/finished.pt" for n in range(4)]


def test_a_reference_without_batch_norm_is_refused_before_any_job() -> None:
    with pytest.raises(UserError) as caught:
        Recipes("config", {"methods": ["sre2l"]})
    assert "source: found inverted with the reference model ConvNet-3-w32" in str(caught.value)
    fitting = {"reference": {"architecture": "ConvNet-3-w32-bn"}}
    run = {"methods": ["sre2l"], "overrides": {"datasets": {"fashionmnist": fitting}}}
    assert Recipes("config", run).method("fashionmnist", "sre2l").source == "inverted"
