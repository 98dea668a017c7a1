"""Ancestral sampling against the equations, and where guidance acts."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor

from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, predict_noise, sample

LABELS = torch.tensor([2, 0, 1])
POSITIONS = torch.tensor([4, 0, 7])
TARGETS = Conditions(LABELS, LABELS, POSITIONS)


def generators(n: int = 3) -> list[torch.Generator]:
    return [generator("sampler", i) for i in range(n)]


def plain_ddpm(prior: Prior, steps: int, scale: float, guided: int) -> Tensor:
    """Sample as in Ho et al. (2020), on a respaced chain, with Nichol and Dhariwal's variance."""
    betas = np.linspace(1e-4, 0.02, 1000)
    alpha_bars = np.cumprod(1 - betas)
    times = np.linspace(0, 999, steps).round().astype(int)
    noise_of = [generator("sampler", i) for i in range(3)]

    def draw() -> Tensor:
        return torch.cat([torch.randn(1, 4, 8, 8, generator=rng) for rng in noise_of])

    x = draw()
    for i in reversed(range(steps)):
        a, before = alpha_bars[times[i]], alpha_bars[times[i - 1]] if i else 1.0
        beta = 1 - a / before
        t = torch.full((3,), int(times[i]))
        with torch.no_grad():
            conditional = prior.transformer(x, t, LABELS).sample
            unconditional = prior.transformer(x, t, torch.full((3,), 3)).sample
        eps = conditional[:, :4].clone()
        eps[:, :guided] = (1 - scale) * unconditional[:, :guided] + scale * eps[:, :guided]
        mean = (x - beta / (1 - a) ** 0.5 * eps) / (1 - beta) ** 0.5
        smallest = (1 - before) / (1 - a) * beta
        if i == 0:
            return mean
        variance = torch.tensor(smallest)
        if prior.learned_sigma:
            share = (conditional[:, 4:] + 1) / 2
            variance = torch.exp(share * np.log(beta) + (1 - share) * np.log(smallest))
        x = (mean + variance.sqrt() * draw()).float()
    raise AssertionError


@pytest.mark.parametrize(("scale", "channels"), [(4.0, 3), (1.5, None), (1.0, 3)])
def test_samples_are_those_of_the_ddpm_equations(
    prior: Prior, scale: float, channels: int | None
) -> None:
    sampling = Sampling(steps=10, cfg_scale=scale, cfg_channels=channels)
    found = sample(prior, TARGETS, generators(), sampling, {}, GuidanceTrace())
    expected = plain_ddpm(prior, 10, scale, channels or 4)
    assert torch.allclose(found, expected.float(), rtol=1e-4, atol=1e-4)


def fill_with_waves(transformer: DiTTransformer2DModel) -> DiTTransformer2DModel:
    """Set weights that owe nothing to a library's initialisation."""
    model = copy.deepcopy(transformer)
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            waves = torch.sin(torch.arange(parameter.numel()) * 0.7 + i)
            parameter.copy_(0.2 * waves.view(parameter.shape))
    return model


# Origin: the sampler itself, once, with torch 2.15 and diffusers 0.42 on a CPU; plain_ddpm gave
# the same to six digits.
GOLDEN = {
    "fixed": [303.9153, -43.4653, -200.8507, 3.3254],
    "learned": [63.3369, 143.3389, 124.0934, -60.6098],
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_slice(kind: str, request: pytest.FixtureRequest) -> None:
    prior = request.getfixturevalue(f"{kind}_prior")
    prior = dataclasses.replace(prior, transformer=fill_with_waves(prior.transformer))
    sampling = Sampling(steps=8, cfg_scale=2.0, cfg_channels=3)
    found = sample(prior, TARGETS, generators(), sampling, {}, GuidanceTrace())
    assert found[0, :, 3, 4].tolist() == pytest.approx(GOLDEN[kind], rel=1e-4)


class Recorder:
    """Guidance that changes nothing, or what it is told, and remembers when it was asked."""

    def __init__(self, change: float = 0.0) -> None:
        self.change = change
        self.steps: list[DenoisingStep] = []

    def __call__(self, step: DenoisingStep) -> Tensor:
        self.steps.append(step)
        return torch.full_like(step.x_t, self.change)


@pytest.mark.parametrize(
    ("window", "expected"),
    [((2, 4), [4, 3, 2]), ((0, 5), [5, 4, 3, 2, 1, 0]), ((10, 45), []), ((5, 5), [5])],
)
def test_guidance_acts_at_the_window_s_steps_and_nowhere_else(
    fixed_prior: Prior, window: tuple[int, int], expected: list[int]
) -> None:
    recorder, trace = Recorder(), GuidanceTrace()
    sampling = Sampling(steps=6, window=window)
    sample(fixed_prior, TARGETS, generators(), sampling, {"test": recorder}, trace)
    assert list(trace.ratios.get("test", {})) == expected
    alphas = fixed_prior.scheduler(6).alphas_cumprod
    times = np.linspace(0, 999, 6).round().astype(int)
    assert [step.alpha_bar for step in recorder.steps] == [alphas[times[i]] for i in expected]


@pytest.mark.parametrize("scheduler", ["ddpm", "ddim", "dpm-solver++"])
@pytest.mark.parametrize(
    ("window", "every", "expected"),
    [((1, 6), 2, [6, 4, 2]), ((1, 6), 3, [6, 3]), ((0, 6), 6, [6, 0]), ((2, 5), 9, [5])],
)
def test_every_so_many_steps_of_the_window_are_guided_from_its_last_index_on(
    fixed_prior: Prior, scheduler: str, window: tuple[int, int], every: int, expected: list[int]
) -> None:
    recorder, trace = Recorder(), GuidanceTrace()
    sampling = Sampling(steps=8, window=window, every=every, scheduler=scheduler)
    sample(fixed_prior, TARGETS, generators(), sampling, {"test": recorder}, trace)
    assert list(trace.ratios["test"]) == expected
    assert len(recorder.steps) == len(expected)


@pytest.mark.parametrize(
    ("cfg_window", "expected"),
    [
        (None, [6, 6, 6, 6, 6]),
        ((0, 4), [6, 6, 6, 6, 6]),
        ((1, 3), [3, 6, 6, 6, 3]),
        ((4, 4), [6, 3, 3, 3, 3]),
        ((0, 0), [3, 3, 3, 3, 6]),
    ],
)
def test_classifier_free_guidance_acts_at_the_steps_of_its_window_and_costs_nothing_elsewhere(
    fixed_prior: Prior,
    calls: list[tuple],
    cfg_window: tuple[int, int] | None,
    expected: list[int],
) -> None:
    sampling = Sampling(steps=5, cfg_scale=4.0, cfg_window=cfg_window)
    sample(fixed_prior, TARGETS, generators(), sampling, {}, GuidanceTrace())
    assert [len(labels) for _, labels in calls] == expected
    assert all(labels.tolist() == [2, 0, 1] for _, labels in calls if len(labels) == 3)


def test_a_window_over_all_steps_is_none_bit_for_bit(prior: Prior) -> None:
    found = [
        sample(prior, TARGETS, generators(), sampling, {}, GuidanceTrace())
        for sampling in (Sampling(steps=5), Sampling(steps=5, cfg_window=(0, 4)))
    ]
    assert torch.equal(*found)
    other = Sampling(steps=5, cfg_window=(1, 4))
    assert not torch.equal(
        sample(prior, TARGETS, generators(), other, {}, GuidanceTrace()), found[0]
    )


def test_guidance_that_changes_nothing_leaves_the_samples_as_they_are(prior: Prior) -> None:
    sampling = Sampling(steps=6, window=(1, 4))
    plain = sample(prior, TARGETS, generators(), sampling, {}, GuidanceTrace())
    watched = {"test": Recorder()}
    assert torch.equal(
        sample(prior, TARGETS, generators(), sampling, watched, GuidanceTrace()), plain
    )
    pushed = {"test": Recorder(0.1)}
    assert not torch.equal(
        sample(prior, TARGETS, generators(), sampling, pushed, GuidanceTrace()), plain
    )


def test_changes_of_all_guidances_add_up_and_are_traced(prior: Prior) -> None:
    sampling = Sampling(steps=6, window=(3, 4))
    two, one = {"a": Recorder(0.1), "b": Recorder(0.2)}, {"c": Recorder(0.3)}
    trace = GuidanceTrace()
    found = sample(prior, TARGETS, generators(), sampling, two, trace)
    expected = sample(prior, TARGETS, generators(), sampling, one, GuidanceTrace())
    assert torch.allclose(found, expected, atol=1e-4)
    noise = two["a"].steps[0].noise.flatten(1).norm(dim=1)
    assert trace.ratios["a"][4] == pytest.approx((0.1 * 16 / noise).tolist())
    assert trace.ratios["b"][4] == pytest.approx((0.2 * 16 / noise).tolist())


def test_guidance_sees_its_own_labels_and_the_prior_sees_its_own(
    fixed_prior: Prior, calls: list[tuple]
) -> None:
    recorder = Recorder()
    sampling = Sampling(steps=3, cfg_scale=1.0, window=(0, 2))
    others = torch.tensor([1, 1, 0])
    sample(
        fixed_prior,
        Conditions(LABELS, others, POSITIONS),
        generators(),
        sampling,
        {"test": recorder},
        GuidanceTrace(),
    )
    assert all(torch.equal(step.labels, LABELS) for step in recorder.steps)
    assert all(torch.equal(step.positions, POSITIONS) for step in recorder.steps)
    assert all(torch.equal(labels, others) for _, labels in calls)


def test_clean_latent_follows_from_noise(fixed_prior: Prior) -> None:
    recorder = Recorder()
    sampling = Sampling(steps=5, window=(0, 4))
    sample(fixed_prior, TARGETS, generators(), sampling, {"test": recorder}, GuidanceTrace())
    for step in recorder.steps:
        noised = step.alpha_bar.sqrt() * step.x0 + (1 - step.alpha_bar).sqrt() * step.noise
        assert torch.allclose(noised, step.x_t, atol=1e-4)


def test_beta_and_sigma_are_those_of_the_respaced_step(
    fixed_prior: Prior, learned_prior: Prior
) -> None:
    alpha_bars = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    times = np.linspace(0, 999, 6).round().astype(int)
    for prior in (fixed_prior, learned_prior):
        recorder = Recorder()
        sampling = Sampling(steps=6, cfg_scale=1.0, window=(1, 5))
        sample(prior, TARGETS, generators(), sampling, {"test": recorder}, GuidanceTrace())
        for i, step in zip(range(5, 0, -1), recorder.steps, strict=True):
            a, before = alpha_bars[times[i]], alpha_bars[times[i - 1]]
            assert step.beta.item() == pytest.approx(1 - a / before, rel=1e-4)
            smallest = (1 - before) / (1 - a) * (1 - a / before)
            share = torch.zeros(())
            if prior.learned_sigma:
                t = torch.full((3,), int(times[i]))
                share = (prior.predict(step.x_t, t, LABELS)[:, 4:] + 1) / 2
            expected = torch.exp(share * np.log(1 - a / before) + (1 - share) * np.log(smallest))
            torch.testing.assert_close(step.sigma, expected.sqrt(), rtol=1e-3, atol=1e-5)


def test_a_window_costs_the_prior_no_second_forward(fixed_prior: Prior, calls: list) -> None:
    sampling = Sampling(steps=6, window=(0, 5))
    sample(fixed_prior, TARGETS, generators(), sampling, {"test": Recorder()}, GuidanceTrace())
    assert len(calls) == 6


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Return what the transformer is called with: a list of times and labels."""
    seen: list[tuple[Tensor, Tensor]] = []
    forward: Callable = DiTTransformer2DModel.forward

    def spy(self: DiTTransformer2DModel, x: Tensor, t: Tensor, labels: Tensor) -> object:
        seen.append((t, labels))
        return forward(self, x, t, labels)

    monkeypatch.setattr(DiTTransformer2DModel, "forward", spy)
    return seen


def test_scale_one_needs_a_single_forward_of_the_labels_alone(
    fixed_prior: Prior, calls: list[tuple]
) -> None:
    x = torch.randn(3, 4, 8, 8, generator=generator("x"))
    predict_noise(fixed_prior, x, 500, LABELS, 1.0, 3)
    assert [labels.tolist() for _, labels in calls] == [[2, 0, 1]]


def test_guided_prediction_pairs_every_label_with_the_null_class(
    fixed_prior: Prior, calls: list[tuple]
) -> None:
    x = torch.randn(3, 4, 8, 8, generator=generator("x"))
    predict_noise(fixed_prior, x, 500, LABELS, 4.0, 3)
    null = fixed_prior.classes
    assert [labels.tolist() for _, labels in calls] == [[2, 0, 1, null, null, null]]
    assert all((t == 500).all() for t, _ in calls)


def test_guidance_free_channels_and_variances_are_the_conditional_ones(
    learned_prior: Prior,
) -> None:
    x = torch.randn(3, 4, 8, 8, generator=generator("x"))
    with torch.no_grad():
        plain = predict_noise(learned_prior, x, 500, LABELS, 1.0, 3)
        guided = predict_noise(learned_prior, x, 500, LABELS, 4.0, 3)
    assert torch.allclose(guided[:, 3:], plain[:, 3:], atol=1e-5)
    assert not torch.allclose(guided[:, :3], plain[:, :3], atol=1e-2)
