"""Signs, sizes and gradients of guidance."""

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import (
    DenoisingStep,
    DeviationGuidance,
    ScoreGuidance,
    learnability,
    nearest_similarity,
)
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, predict_noise, sample
from lgd_core.distill.artifacts import Scorer

LABELS = torch.tensor([0, 1, 2, 1])


CHUNKS = MicroBatches(64)


def tweedie(x_t: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    return (x_t - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()


@pytest.fixture
def step(double: None) -> DenoisingStep:
    rng = generator("guidance")
    x_t, noise = torch.randn(2, 4, 4, 8, 8, generator=rng)
    x_t.requires_grad_()
    alpha_bar = torch.tensor(0.4)
    beta, sigma = torch.tensor(0.2), torch.tensor(0.3)
    x0 = tweedie(x_t, noise, alpha_bar)
    return DenoisingStep(x_t, noise, x0, alpha_bar, LABELS, beta, sigma, torch.arange(4))


@pytest.fixture
def score(double: None, fixed_prior: Prior, scorer: Scorer) -> Callable[[Tensor, Tensor], Tensor]:
    """Return S of decoded latents, in float64."""
    autoencoder = copy.deepcopy(fixed_prior.autoencoder).double()
    prior = dataclasses.replace(fixed_prior, autoencoder=autoencoder)
    networks = [copy.deepcopy(part).double() for part in (scorer.learner, scorer.reference)]
    precise = Scorer(*networks, scorer.preprocess.double(), scorer.reference_weight)
    return lambda x0, labels: precise(prior.decode(x0), labels)


@pytest.fixture
def memory(double: None) -> Tensor:
    return torch.randn(3, 5, 4, 8, 8, generator=generator("memory"))


def size(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def moved(step: DenoisingStep, change: Tensor) -> Tensor:
    return tweedie(step.x_t, step.noise + change, step.alpha_bar).detach()


def slope(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> float:
    """Return the central difference of a function along a direction."""
    h = 1e-5
    with torch.no_grad():
        ahead, behind = function(at + h * direction), function(at - h * direction)
    return ((ahead - behind) / (2 * h)).item()


def test_learnability_guidance_raises_the_score_and_the_other_sign_lowers_it(step, score) -> None:
    change = ScoreGuidance(score, 1e-3, "relative", CHUNKS)(step)
    before = score(step.x0, LABELS)
    assert (score(moved(step, change), LABELS) > before).all()
    assert (score(moved(step, -change), LABELS) < before).all()


@pytest.mark.parametrize("norm", ["raw", "relative"])
def test_deviation_guidance_lowers_the_nearest_similarity(step, memory, norm: str) -> None:
    change = DeviationGuidance(memory, 1e-3, norm)(step)
    before = nearest_similarity(step.x0, memory[LABELS])
    assert (nearest_similarity(moved(step, change), memory[LABELS]) < before).all()
    assert (nearest_similarity(moved(step, -change), memory[LABELS]) > before).all()


def test_learnability_change_lies_along_the_finite_difference_gradient(step, score) -> None:
    change = ScoreGuidance(score, 1.0, "relative", CHUNKS)(step)

    def total(x_t: Tensor) -> Tensor:
        return score(tweedie(x_t, step.noise, step.alpha_bar), LABELS).sum()

    gradient = torch.autograd.grad(total(step.x_t), step.x_t)[0]
    for seed in range(3):
        direction = torch.randn(step.x_t.shape, generator=generator("direction", seed))
        expected = slope(total, step.x_t.detach(), direction)
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-5)
    cosines = F.cosine_similarity(change.flatten(1), -gradient.flatten(1))
    assert torch.allclose(cosines, torch.ones(4))


def test_raw_deviation_is_strength_times_the_finite_difference_gradient(step, memory) -> None:
    strength = 50.0
    change = DeviationGuidance(memory, strength, "raw")(step)

    def total(x_t: Tensor) -> Tensor:
        x0 = tweedie(x_t, step.noise, step.alpha_bar).flatten(1)
        cosines = torch.einsum("bd,bmd->bm", x0, memory[LABELS].flatten(2))
        lengths = size(x0)[:, None] * memory[LABELS].flatten(2).norm(dim=2)
        return (cosines / lengths).amax(1).sum()

    for seed in range(3):
        direction = torch.randn(step.x_t.shape, generator=generator("direction", seed))
        expected = strength * slope(total, step.x_t.detach(), direction)
        assert (change * direction).sum().item() == pytest.approx(expected, rel=1e-5)


def test_only_memory_of_the_own_class_repels(step, memory) -> None:
    elsewhere = memory.clone()
    elsewhere[0] = torch.randn(memory[0].shape, generator=generator("elsewhere"))
    changed = DeviationGuidance(elsewhere, 1.0)(step) - DeviationGuidance(memory, 1.0)(step)
    assert (size(changed) > 0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("strength", [0.15, 15.0])
@pytest.mark.parametrize(("norm", "divisor"), [("rms", 16.0), ("relative", 1.0)])
def test_learnability_change_has_the_documented_size(
    step, score, strength: float, norm: str, divisor: float
) -> None:
    change = ScoreGuidance(score, strength, norm, CHUNKS)(step)
    expected = torch.full((4,), strength * 0.6**0.5 / divisor)
    assert torch.allclose(size(change) / size(step.noise), expected, rtol=1e-9)


def test_relative_deviation_has_the_documented_size(step, memory) -> None:
    change = DeviationGuidance(memory, 0.03, "relative")(step)
    assert torch.allclose(size(change) / size(step.noise), torch.full((4,), 0.03 * 0.6**0.5))


def test_a_gradient_of_zero_changes_nothing_and_is_no_nan(step) -> None:
    def flat(x0: Tensor, _: Tensor) -> Tensor:
        return 0 * x0.flatten(1).sum(1)

    change = ScoreGuidance(flat, 15.0, "rms", CHUNKS)(step)
    assert torch.equal(change, torch.zeros_like(step.x_t))


def test_learnability_is_the_difference_of_two_losses(learner, reference) -> None:
    images = torch.randn(4, 3, 16, 16, generator=generator("images"))
    losses = [
        -model(images).log_softmax(1).gather(1, LABELS[:, None])[:, 0]
        for model in (learner, reference)
    ]
    found = learnability(learner, reference, images, LABELS, 0.7)
    assert torch.allclose(found, losses[0] - 0.7 * losses[1], atol=1e-6)


def test_a_reference_of_no_weight_is_never_evaluated(learner) -> None:
    class Untouchable(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise AssertionError("evaluated")

    images = torch.randn(4, 3, 16, 16, generator=generator("images"))
    expected = F.cross_entropy(learner(images), LABELS, reduction="none")
    assert torch.equal(learnability(learner, Untouchable(), images, LABELS, 0.0), expected)
    assert torch.equal(learnability(learner, None, images, LABELS, 0.0), expected)
    with pytest.raises(AssertionError, match="evaluated"):
        learnability(learner, Untouchable(), images, LABELS, 0.5)


def gradient_in_sampler(prior: Prior, full: bool) -> tuple[DenoisingStep, Tensor]:
    """Return one denoising step of the sampler and a gradient taken as guidance takes it."""
    seen = []

    def guidance(step: DenoisingStep) -> Tensor:
        gradient = torch.autograd.grad(step.x0.sin().sum(), step.x_t, retain_graph=True)[0]
        seen.append((step, gradient))
        return torch.zeros_like(step.x_t)

    sampling = Sampling(
        steps=4, cfg_scale=1.5, cfg_channels=None, window=(2, 2), through_transformer=full
    )
    generators = [generator("path", i) for i in range(4)]
    targets = Conditions(LABELS, LABELS, torch.arange(4))
    sample(prior, targets, generators, sampling, {"test": guidance}, GuidanceTrace())
    return seen[0]


def test_full_gradient_passes_the_transformer_and_tweedie_does_not(double, fixed_prior) -> None:
    transformer = copy.deepcopy(fixed_prior.transformer).double()
    prior = dataclasses.replace(fixed_prior, transformer=transformer)
    step, plain = gradient_in_sampler(prior, full=False)
    _, full = gradient_in_sampler(prior, full=True)
    assert (size(full - plain) > 0.01 * size(plain)).all()

    def through(x_t: Tensor) -> Tensor:
        noise = predict_noise(prior, x_t, 666, LABELS, 1.5, None)
        return tweedie(x_t, noise, step.alpha_bar).sin().sum()

    def beside(x_t: Tensor) -> Tensor:
        return tweedie(x_t, step.noise, step.alpha_bar).sin().sum()

    for function, gradient in ((through, full), (beside, plain)):
        direction = torch.randn(step.x_t.shape, generator=generator("direction"))
        expected = slope(function, step.x_t.detach(), direction)
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-4)
