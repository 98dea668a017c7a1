"""Sampling from a latent diffusion prior, one loop for all methods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from lgd_core.config.models.method import SchedulerName, guided_steps, inside
from lgd_core.diffusion.guidance import DenoisingStep, Guidance
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.schedulers import Scheduler, adds_noise, next_timestep


@dataclass(frozen=True)
class Sampling:
    """How to sample: steps, classifier-free guidance, and the steps at which guidance acts.

    ``window`` holds the first and last step index at which guidance acts; indices count down from
    ``steps - 1`` (pure noise) to 0 (the last step). In it every ``every``-th step is guided, from
    the last index on. With ``through_transformer``, gradients also pass through the transformer;
    otherwise the predicted noise is held constant. ``cfg_window`` holds the first and last step
    index of classifier-free guidance (Kynkäänniemi et al., "Applying guidance in a limited interval
    improves sample and distribution quality in diffusion models", 2024); None means all steps.
    """

    steps: int = 50
    cfg_scale: float = 4.0
    cfg_channels: int | None = 3
    window: tuple[int, int] = (10, 45)
    through_transformer: bool = False
    every: int = 1
    scheduler: SchedulerName = "ddpm"
    cfg_window: tuple[int, int] | None = None
    start: int | None = None

    @property
    def indices(self) -> range:
        """The step indices, in the order in which they are reached."""
        first = self.steps - 1 if self.start is None else self.start
        return range(first, -1, -1)

    @property
    def guided(self) -> range:
        """The step indices at which guidance acts, in the order in which they are reached."""
        return guided_steps(self.window, self.every)

    def scale_at(self, index: int) -> float:
        """Return the scale of classifier-free guidance at a step index; 1 where it does not act."""
        return self.cfg_scale if inside(self.cfg_window, index) else 1.0


@dataclass(frozen=True)
class Conditions:
    """The conditions of every sample of a batch; tensors (B,).

    ``labels`` are classes of the data set, for guidance. ``prior_labels`` are the labels that the
    prior is conditioned on. ``positions`` number a class's images over all increments.
    """

    labels: Tensor
    prior_labels: Tensor
    positions: Tensor


@dataclass
class GuidanceTrace:
    """The size of guidance, per guidance and step index: each sample's |change| / |noise|."""

    ratios: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def add(self, measured: Mapping[tuple[str, int], Tensor]) -> None:
        """Append the ratios (B,) of a batch, by guidance and step index."""
        for (name, index), ratio in measured.items():
            self.ratios.setdefault(name, {}).setdefault(index, []).extend(ratio.tolist())

    def extend(self, other: "GuidanceTrace") -> None:
        """Append the samples of another trace."""
        for name, steps in other.ratios.items():
            for index, ratios in steps.items():
                self.ratios.setdefault(name, {}).setdefault(index, []).extend(ratios)


def predict_noise(
    prior: Prior, x_t: Tensor, t: int, labels: Tensor, scale: float, channels: int | None
) -> Tensor:
    """Return the transformer's output (B, c or 2c, h, w) at a timestep, guided by classes.

    Classifier-free guidance acts on the first ``channels`` latent channels, as in the original DiT
    code (3 of 4); all other channels, including predicted variances, are those of the conditional
    branch.
    """
    times = torch.full_like(labels, t)
    if scale == 1.0:
        return prior.predict(x_t, times, labels)
    null = torch.full_like(labels, prior.classes)
    both = prior.predict(x_t.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([labels, null]))
    conditional, unconditional = both.chunk(2)
    guided = min(channels or x_t.shape[1], x_t.shape[1])
    change = (scale - 1) * (conditional - unconditional)[:, :guided]
    return torch.cat([conditional[:, :guided] + change, conditional[:, guided:]], dim=1)


def sample(
    prior: Prior,
    targets: Conditions,
    generators: list[torch.Generator],
    sampling: Sampling,
    guidances: Mapping[str, Guidance],
    trace: GuidanceTrace,
    begin: Tensor | None = None,
) -> Tensor:
    """Draw scaled latents (B, c, h, w), one per target, each from its own generator.

    With ``sampling.start``, sampling starts there from the latents ``begin`` with that step's noise
    (Meng et al., "SDEdit: Guided image synthesis and editing with stochastic differential
    equations", ICLR 2022).

    At other steps than the guided ones, guidance is not evaluated at all. A scheduler that adds no
    noise takes only the first noise from the generators, and nothing of predicted variances. The
    sizes of guidance stay on the device until the end: reading them would stop it at every step.
    """
    measured: dict[tuple[str, int], Tensor] = {}
    scheduler = prior.scheduler(sampling.steps, sampling.scheduler)
    labels = targets.prior_labels
    x = randn_tensor((len(labels), *prior.latent_shape), generator=generators, device=prior.device)
    timesteps = scheduler.timesteps[-len(sampling.indices) :]
    if begin is not None:
        x = noised(scheduler, timesteps[0], begin.to(x), x)
    for index, t in zip(sampling.indices, timesteps, strict=True):
        active = guidances if index in sampling.guided else {}
        x = x.detach().requires_grad_(bool(active))
        with torch.set_grad_enabled(bool(active) and sampling.through_transformer):
            output = predict_noise(
                prior, x, int(t), labels, sampling.scale_at(index), sampling.cfg_channels
            )
        if not adds_noise(scheduler):
            output = output[:, : x.shape[1]]
        if active:
            step = denoising(scheduler, t, x, output, targets)
            changes = _changes(step, active)
            measured |= {(name, index): size_of(part, step) for name, part in changes.items()}
            guided = step.noise + torch.stack(list(changes.values())).sum(0)
            output = torch.cat([guided, output[:, x.shape[1] :]], dim=1)
        with torch.no_grad():
            x = _take(scheduler, t, x, output, generators)
    trace.add(measured)
    return x.detach()


def noised(scheduler: Scheduler, t: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    """Return clean latents with the noise of a timestep: sqrt(a) clean + sqrt(1 - a) noise."""
    alpha_bar = scheduler.alphas_cumprod[t]
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def _take(
    scheduler: Scheduler,
    t: Tensor,
    x: Tensor,
    output: Tensor,
    generators: list[torch.Generator],
) -> Tensor:
    """Return the next latents, each with noise of its own generator where a step adds any."""
    # diffusers' annotations have one generator only, but a list works.
    taken = scheduler.step(output, int(t), x, generator=cast(Any, generators))
    return cast(DDPMSchedulerOutput, taken).prev_sample


def denoising(
    scheduler: Scheduler, t: Tensor, x: Tensor, output: Tensor, targets: Conditions
) -> DenoisingStep:
    """Return the step that a scheduler takes at ``t`` from ``x`` and the transformer's output.

    Its schedule's scalars stay on the CPU: operations take them as they are, without a copy.
    """
    noise, predicted = output[:, : x.shape[1]], output[:, x.shape[1] :].detach()
    following = next_timestep(scheduler, t)
    alpha_bar = scheduler.alphas_cumprod[t]
    before = 1.0 if following is None else scheduler.alphas_cumprod[following]
    beta = 1 - alpha_bar / before
    with torch.enable_grad():
        x0 = (x - (1 - alpha_bar).sqrt() * noise) / alpha_bar.sqrt()
    smallest = (1 - before) / (1 - alpha_bar) * beta
    sigma = step_sigma(beta, smallest, predicted) if adds_noise(scheduler) else beta.new_zeros(())
    return DenoisingStep(
        x, noise.detach(), x0, alpha_bar, targets.labels, beta, sigma, targets.positions
    )


def step_sigma(beta: Tensor, smallest: Tensor, predicted: Tensor) -> Tensor:
    """Return the standard deviation of a step's noise: the true posterior's, or a learned one.

    ``smallest`` is the posterior's variance. ``predicted`` (B, c, h, w) on [-1, 1] interpolates
    between its logarithm and that of ``beta`` (Nichol and Dhariwal, "Improved denoising diffusion
    probabilistic models", Eq. 15); it has no channels if the variance is fixed.
    """
    if not predicted.shape[1]:
        return smallest.sqrt()
    share = (predicted + 1) / 2
    return (share * beta.log() + (1 - share) * smallest.clamp_min(1e-20).log()).div(2).exp()


def _changes(step: DenoisingStep, guidances: Mapping[str, Guidance]) -> dict[str, Tensor]:
    """Return the change of the noise by each guidance."""
    with torch.enable_grad():
        return {name: guidance(step).detach() for name, guidance in guidances.items()}


def size_of(change: Tensor, step: DenoisingStep) -> Tensor:
    """Return the size (B,) of a change of the noise, |change| / |noise|."""
    return change.flatten(1).norm(dim=1) / step.noise.flatten(1).norm(dim=1)
