"""Schedulers against their formulas, and the default against a frozen loop, bit for bit."""

import dataclasses

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, denoising, sample

LABELS = torch.tensor([2, 0, 1])
TARGETS = Conditions(LABELS, LABELS, torch.tensor([4, 0, 7]))
ALPHA_BARS = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
SCALE, PUSH, WINDOW = 2.0, 0.1, (1, 3)


def generators() -> list[torch.Generator]:
    return [generator("schedulers", i) for i in range(3)]


def draw(rng: list[torch.Generator]) -> Tensor:
    return torch.cat([torch.randn(1, 4, 8, 8, generator=each) for each in rng])


def push(step: DenoisingStep) -> Tensor:
    return torch.full_like(step.noise, PUSH)


def sampled(prior: Prior, rng: list[torch.Generator], **keys: object) -> Tensor:
    """Return what the sampler draws, guided in the window by a constant change."""
    sampling = Sampling(cfg_scale=SCALE, cfg_channels=None, window=WINDOW, **keys)
    return sample(prior, TARGETS, rng, sampling, {"push": push}, GuidanceTrace())


def output_of(prior: Prior, x: Tensor, t: int, index: int) -> Tensor:
    """Return the transformer's output after both guidances, as the sampler has it."""
    labels, null = LABELS, torch.full_like(LABELS, prior.classes)
    with torch.no_grad():
        both = prior.predict(
            x.repeat(2, 1, 1, 1), torch.tensor(t).expand(6), torch.cat([labels, null])
        )
    conditional, unconditional = both.chunk(2)
    noise = conditional[:, :4] + (SCALE - 1) * (conditional - unconditional)[:, :4]
    noise = noise + PUSH if WINDOW[0] <= index <= WINDOW[1] else noise
    return torch.cat([noise, conditional[:, 4:]], dim=1)


def test_the_default_is_a_plain_loop_of_ddpm_bit_for_bit(prior: Prior) -> None:
    scheduler = DDPMScheduler.from_config(
        prior.scheduler_config,
        timestep_spacing="linspace",
        clip_sample=False,
        thresholding=False,
        variance_type="learned_range" if prior.learned_sigma else "fixed_small",
    )
    scheduler.set_timesteps(6)
    rng = generators()
    x = draw(rng)
    for index, t in zip(reversed(range(6)), scheduler.timesteps, strict=True):
        output = output_of(prior, x, int(t), index)
        x = scheduler.step(output, int(t), x, generator=rng).prev_sample
    assert torch.equal(sampled(prior, generators(), steps=6), x)


def test_the_next_step_of_ddpm_is_the_one_diffusers_takes(prior: Prior) -> None:
    scheduler = prior.scheduler(7)
    x = draw(generators())
    for t in scheduler.timesteps:
        step = denoising(scheduler, t, x, output_of(prior, x, int(t), 0), TARGETS)
        previous = scheduler.previous_timestep(int(t))
        before = scheduler.alphas_cumprod[previous] if previous >= 0 else 1.0
        assert torch.equal(step.beta, 1 - scheduler.alphas_cumprod[t] / before)


def ddim(prior: Prior, steps: int) -> Tensor:
    """Sample by Song et al. (2021), Eq. 12 with sigma 0, on steps 1000 / ``steps`` apart."""
    x, stride = draw(generators()), 1000 // steps
    for index in reversed(range(steps)):
        t = (index + 1) * stride - 1
        a, before = ALPHA_BARS[t], ALPHA_BARS[t - stride] if index else torch.tensor(1.0)
        noise = output_of(prior, x, t, index)[:, :4]
        x0 = (x - (1 - a).sqrt() * noise) / a.sqrt()
        x = before.sqrt() * x0 + (1 - before).sqrt() * noise
    return x


@pytest.mark.parametrize("steps", [4, 10])
def test_ddim_is_its_formula(prior: Prior, steps: int) -> None:
    found = sampled(prior, generators(), steps=steps, scheduler="ddim")
    assert torch.allclose(found, ddim(prior, steps), rtol=1e-3, atol=1e-3)


def dpm_solver(prior: Prior, times: list[int], last: int) -> Tensor:
    """Sample by Lu et al. (2022), Algorithm 2, DPM-Solver++(2M), up to the ``last`` index.

    The first step and the last one, to no noise at all, are of first order.
    """
    x, x0_before = draw(generators()), None
    lambdas = (ALPHA_BARS / (1 - ALPHA_BARS)).log() / 2
    for i, t in enumerate(times):
        index = len(times) - 1 - i
        alpha, sigma = ALPHA_BARS[t].sqrt(), (1 - ALPHA_BARS[t]).sqrt()
        x0 = (x - sigma * output_of(prior, x, t, index)[:, :4]) / alpha
        if index == 0:
            return x0
        s = times[i + 1]
        h, towards = lambdas[s] - lambdas[t], x0
        if x0_before is not None:
            r = (lambdas[t] - lambdas[times[i - 1]]) / h
            towards = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_before
        x = (1 - ALPHA_BARS[s]).sqrt() / sigma * x
        x = x - ALPHA_BARS[s].sqrt() * (torch.exp(-h) - 1) * towards
        x0_before = x0
        if index == last:
            return x
    raise AssertionError


def test_dpm_solver_is_its_algorithm(prior: Prior) -> None:
    found = sampled(prior, generators(), steps=4, scheduler="dpm-solver++")
    expected = dpm_solver(prior, [999, 749, 500, 250], 0)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_first_step_of_dpm_solver_is_of_first_order(prior: Prior) -> None:
    scheduler = prior.scheduler(4, "dpm-solver++")
    x = draw(generators())
    output = output_of(prior, x, 999, 3)[:, :4]
    found = scheduler.step(output, 999, x).prev_sample
    assert found.shape == x.shape
    expected = dpm_solver(prior, [999, 749, 500, 250], 3)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ddim", "dpm-solver++"])
def test_predicted_variances_do_not_reach_schedulers_without_noise(
    learned_prior: Prior, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = sampled(learned_prior, generators(), steps=5, scheduler=name)
    predict = Prior.predict

    def other_variances(self: Prior, *inputs: Tensor) -> Tensor:
        output = predict(self, *inputs)
        return torch.cat([output[:, :4], output[:, 4:] + 1], dim=1)

    monkeypatch.setattr(Prior, "predict", other_variances)
    assert torch.equal(sampled(learned_prior, generators(), steps=5, scheduler=name), expected)
    assert expected.shape == (3, 4, 8, 8), "all four channels of the noise"


@pytest.mark.parametrize(("name", "draws"), [("ddpm", 5), ("ddim", 1), ("dpm-solver++", 1)])
def test_only_ddpm_draws_noise_after_the_first(fixed_prior: Prior, name: str, draws: int) -> None:
    used, expected = generators(), generators()
    sampled(fixed_prior, used, steps=5, scheduler=name)
    for _ in range(draws):
        draw(expected)
    states = zip(used, expected, strict=True)
    assert all(torch.equal(one.get_state(), other.get_state()) for one, other in states)


@pytest.mark.parametrize("steps", [2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 250, 1000])
def test_steps_of_ddim_lead_to_each_other(fixed_prior: Prior, steps: int) -> None:
    times = fixed_prior.scheduler(steps, "ddim").timesteps.tolist()
    assert len(times) == steps
    # diffusers' scheduler goes to the timestep 1000 // steps below, and below 0 to the image.
    assert [t - 1000 // steps for t in times] == [*times[1:], -1]
    assert times[0] == 999


@pytest.mark.parametrize("name", ["ddim", "dpm-solver++"])
def test_a_step_without_noise_has_its_noise_levels_and_no_sigma(
    learned_prior: Prior, name: str
) -> None:
    seen: list[DenoisingStep] = []

    def watch(step: DenoisingStep) -> Tensor:
        seen.append(step)
        return torch.zeros_like(step.noise)

    sampling = Sampling(steps=4, window=(0, 3), scheduler=name)
    sample(learned_prior, TARGETS, generators(), sampling, {"watch": watch}, GuidanceTrace())
    times = learned_prior.scheduler(4, name).timesteps.tolist()
    levels = [ALPHA_BARS[t].item() for t in times]
    assert [step.alpha_bar.item() for step in seen] == pytest.approx(levels, rel=1e-5)
    betas = [1 - a / after for a, after in zip(levels, [*levels[1:], 1.0], strict=True)]
    assert [step.beta.item() for step in seen] == pytest.approx(betas, rel=1e-4)
    assert [step.sigma.item() for step in seen] == [0, 0, 0, 0]
    for step in seen:
        noised = step.alpha_bar.sqrt() * step.x0 + (1 - step.alpha_bar).sqrt() * step.noise
        assert torch.allclose(noised, step.x_t, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("ddim", 30, "found 30, expected a divisor of the prior's 1000 with scheduler ddim"),
        (
            "dpm-solver++",
            1000,
            "found 1000, expected fewer than the prior's 1000 with scheduler dpm-solver++",
        ),
    ],
)
def test_steps_that_a_scheduler_cannot_take_are_refused(
    fixed_prior: Prior, name: str, steps: int, expected: str
) -> None:
    with pytest.raises(UserError) as caught:
        fixed_prior.scheduler(steps, name)
    assert str(caught.value) == f"sampler.steps: {expected}"


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpm-solver++"])
@pytest.mark.parametrize("kind", ["squaredcos_cap_v2", "sigmoid"])
def test_all_schedulers_take_a_prior_s_noise_schedule(
    fixed_prior: Prior, name: str, kind: str
) -> None:
    config = fixed_prior.scheduler_config | {"beta_schedule": kind}
    other = dataclasses.replace(fixed_prior, scheduler_config=config)
    expected = DDPMScheduler(beta_schedule=kind).alphas_cumprod
    assert torch.allclose(other.scheduler(10, name).alphas_cumprod, expected)
