"""Schedulers of sampling: which steps there are, and how one follows from the predicted noise."""

from typing import Any, cast

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.config.models.method import SchedulerName
from lgd_core.config.prior_fit import EXPECTED_STEPS, suits_steps

Scheduler = DDPMScheduler | DDIMScheduler | DPMSolverMultistepScheduler


def noise_schedule(config: dict[str, Any], **changes: Any) -> DDPMScheduler:
    """Return the noise schedule of a config, with some keys changed."""
    return cast(DDPMScheduler, DDPMScheduler.from_config(config, **changes))


def build_scheduler(
    name: SchedulerName, steps: int, config: dict[str, Any], learned_sigma: bool
) -> Scheduler:
    """Return a scheduler with ``steps`` even steps on the noise schedule of a prior's config.

    ``ddpm`` is ancestral sampling, with first and last step; its variance is learned if the prior
    predicts it. The others add no noise and take the predicted noise alone: ``ddim`` (Song et al.,
    "Denoising diffusion implicit models", eta 0) and ``dpm-solver++`` (Lu et al., "DPM-Solver++",
    2M). Raises UserError if the prior's steps do not suit those of the scheduler.
    """
    known = len(noise_schedule(config).betas)
    if not suits_steps(name, steps, known):
        raise UserError(
            f"sampler.steps: found {steps}, expected {EXPECTED_STEPS[name]} the prior's {known} "
            f"with scheduler {name}"
        )
    if name == "ddim":
        scheduler = _ddim(config)
    elif name == "dpm-solver++":
        scheduler = _dpm_solver(config)
    else:
        scheduler = _ddpm(config, learned_sigma)
    scheduler.set_timesteps(steps)
    return scheduler


def _ddpm(config: dict[str, Any], learned_sigma: bool) -> DDPMScheduler:
    return noise_schedule(
        config,
        timestep_spacing="linspace",
        clip_sample=False,
        thresholding=False,
        variance_type="learned_range" if learned_sigma else "fixed_small",
    )


def _ddim(config: dict[str, Any]) -> DDIMScheduler:
    betas = _betas(config)
    return DDIMScheduler(
        num_train_timesteps=len(betas),
        trained_betas=betas,
        clip_sample=False,
        timestep_spacing="trailing",
    )


def _dpm_solver(config: dict[str, Any]) -> DPMSolverMultistepScheduler:
    betas = _betas(config)
    return DPMSolverMultistepScheduler(
        num_train_timesteps=len(betas),
        trained_betas=betas,
        solver_order=2,
        algorithm_type="dpmsolver++",
        final_sigmas_type="zero",
        timestep_spacing="linspace",
    )


def _betas(config: dict[str, Any]) -> list[float]:
    """Return the betas of a noise schedule, of which diffusers' DDPMScheduler knows most kinds."""
    return noise_schedule(config).betas.tolist()


def adds_noise(scheduler: Scheduler) -> bool:
    """Whether a scheduler's steps add noise, as those of ancestral sampling do."""
    return isinstance(scheduler, DDPMScheduler)


def next_timestep(scheduler: Scheduler, t: Tensor) -> int | None:
    """Return the timestep that comes after ``t``; None after the last one."""
    (row,) = (scheduler.timesteps == t).nonzero(as_tuple=True)[0].tolist()
    following = scheduler.timesteps[row + 1 :]
    return int(following[0]) if len(following) else None
