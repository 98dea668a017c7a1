"""Gradients of gradients, the influence score, and the sign and size of its guidance."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import CPU, SEEN, SPEC
from torch import Tensor, nn

from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep, ScoreGuidance
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.influence import (
    Influence,
    load_influence,
    parameter_gradients,
    save_influence,
)
from lgd_core.networks.classifiers import build_network

LABELS = torch.tensor([0, 1, 2, 1])


def one_by_one(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradients that plain autograd gives, an image at a time."""
    parameters = list(network.parameters())
    rows = []
    for image, label in zip(images, labels, strict=True):
        loss = F.cross_entropy(network(image[None]), label[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["ConvNet-2-w8", "ResNetAP-10-w8", "ResNet-10"])
def test_parameter_gradients_of_a_batch_are_those_of_single_images(double: None, name: str) -> None:
    network = build_network(SEEN.network(name), "surrogate").eval()
    images = torch.randn(4, 3, 16, 16, generator=generator("images"))
    found = parameter_gradients(network, dict(network.named_parameters()), images, LABELS)
    torch.testing.assert_close(found, one_by_one(network, images, LABELS), rtol=1e-9, atol=1e-12)


@pytest.fixture
def precise(double: None, influence: Influence) -> Influence:
    """Return the toy influence in float64."""
    return Influence(
        copy.deepcopy(influence.network).double(),
        {name: tensor.double() for name, tensor in influence.parameters.items()},
        influence.gradients.double(),
        copy.deepcopy(influence.preprocess).double(),
        influence.rows,
    )


def test_the_score_is_the_mean_cosine_to_the_gradient_of_the_own_class(precise: Influence) -> None:
    images = torch.rand(4, 3, 16, 16, generator=generator("images"))
    cosines = []
    for checkpoint, gradients in enumerate(precise.gradients):
        network = copy.deepcopy(precise.network).requires_grad_(True)
        network.load_state_dict({n: t[checkpoint] for n, t in precise.parameters.items()})
        own = one_by_one(network, precise.preprocess(images), LABELS)
        cosines.append(F.cosine_similarity(own, gradients[LABELS]))
    assert len(cosines) == 2
    torch.testing.assert_close(precise(images, LABELS), sum(cosines) / 2, rtol=1e-9, atol=1e-12)


@pytest.fixture
def step(double: None) -> DenoisingStep:
    x_t, noise = torch.randn(2, 4, 4, 8, 8, generator=generator("influence"))
    x_t.requires_grad_()
    alpha_bar = torch.tensor(0.4)
    clean = tweedie(x_t, noise, alpha_bar)
    beta, sigma = torch.tensor(0.1), torch.tensor(0.3)  # of no use to this guidance
    return DenoisingStep(x_t, noise, clean, alpha_bar, LABELS, beta, sigma, torch.arange(4))


@pytest.fixture
def score(fixed_prior: Prior, precise: Influence) -> Callable[[Tensor, Tensor], Tensor]:
    autoencoder = copy.deepcopy(fixed_prior.autoencoder).double()
    prior = dataclasses.replace(fixed_prior, autoencoder=autoencoder)
    return lambda x0, labels: precise(prior.decode(x0), labels)


def tweedie(x_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    return (x_t - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()


def moved(step: DenoisingStep, change: Tensor) -> Tensor:
    return tweedie(step.x_t, step.noise + change, step.alpha_bar).detach()


def test_guidance_raises_the_score_and_the_other_sign_lowers_it(step, score) -> None:
    change = ScoreGuidance(score, 1e-3, "relative", MicroBatches(64))(step)
    before = score(step.x0, LABELS)
    assert (score(moved(step, change), LABELS) > before).all()
    assert (score(moved(step, -change), LABELS) < before).all()


def test_guidance_lies_along_the_finite_difference_gradient(step, score) -> None:
    change = ScoreGuidance(score, 1.0, "relative", MicroBatches(64))(step)
    x_t, h = step.x_t.detach(), 1e-5
    gradient = torch.zeros_like(x_t)
    # A handful of coordinates of every sample suffices to compare directions.
    places = torch.randperm(x_t[0].numel(), generator=generator("places"))[:8].tolist()
    for place in places:
        nudge = torch.zeros_like(x_t)
        nudge.view(4, -1)[:, place] = h
        ahead, behind = (
            score(tweedie(x_t + sign * nudge, step.noise, step.alpha_bar), LABELS)
            for sign in (1, -1)
        )
        gradient.view(4, -1)[:, place] = (ahead - behind) / (2 * h)
    found = change.view(4, -1)[:, places]
    cosines = F.cosine_similarity(found, -gradient.view(4, -1)[:, places])
    torch.testing.assert_close(cosines, torch.ones(4), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("norm", "divisor"), [("rms", 16.0), ("relative", 1.0)])
def test_the_change_has_the_documented_size(step, score, norm: str, divisor: float) -> None:
    change = ScoreGuidance(score, 5.0, norm, MicroBatches(64))(step)
    ratio = change.flatten(1).norm(dim=1) / step.noise.flatten(1).norm(dim=1)
    torch.testing.assert_close(ratio, torch.full((4,), 5.0 * 0.6**0.5 / divisor))


@pytest.mark.parametrize("largest", [1, 3])
def test_chunks_change_nothing(step, score, largest: int) -> None:
    whole = ScoreGuidance(score, 1.0, "relative", MicroBatches(64))(step)
    parts = ScoreGuidance(score, 1.0, "relative", MicroBatches(largest))(step)
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)


def test_one_file_holds_all_that_guidance_needs(tmp_path: Path, influence: Influence) -> None:
    path = tmp_path / "gradients.safetensors"
    save_influence(path, influence.parameters, influence.gradients, SPEC, {})
    found = load_influence(path, influence.preprocess, CPU, SPEC, [0, 1, 2])
    images = torch.rand(4, 3, 16, 16, generator=generator("images"))
    assert torch.equal(found(images, LABELS), influence(images, LABELS))


def test_a_shard_holds_the_gradients_of_its_classes(tmp_path: Path, influence: Influence) -> None:
    path, labels = tmp_path / "gradients.safetensors", torch.tensor([2, 1, 2])
    save_influence(path, influence.parameters, influence.gradients, SPEC, {})
    found = load_influence(path, influence.preprocess, CPU, SPEC, [1, 2])
    images = torch.rand(3, 3, 16, 16, generator=generator("images"))
    assert found.gradients.shape[1] == 2
    assert torch.equal(found(images, labels), influence(images, labels))
