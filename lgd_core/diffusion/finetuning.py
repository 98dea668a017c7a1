"""Fine-tuning of a few parameters of a prior by the minimax criteria.

Gu et al., "Efficient dataset distillation via minimax diffusion" (CVPR 2024).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint, resumable_loop
from lgd_core.base.seeding import epoch_batch, generator
from lgd_core.config.models.method import FinetuneConfig
from lgd_core.data.streams import StoredPixels, in_batches
from lgd_core.diffusion.minimax import Memory, minimax_loss
from lgd_core.diffusion.phases import trained_names
from lgd_core.diffusion.prior_training import encode
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.schedulers import noise_schedule


@dataclass(frozen=True)
class PhaseClasses:
    """The classes of phase ``number``: contiguous labels, and the prior's labels of the same."""

    number: int
    labels: list[int]
    prior_labels: list[int]


def tune_prior(
    prior: Prior,
    images: StoredPixels,
    labels: Tensor,
    phase: PhaseClasses,
    flip: float,
    recipe: FinetuneConfig,
    checkpoint: Checkpoint,
) -> dict[str, float]:
    """Tune the prior's transformer in place for the classes of a phase.

    Reads those of the uint8 images (N, C, H, W) whose labels (N,) are the phase's. ``flip`` is the
    probability of a mirrored image. The loss is the prior's own plus the minimax criteria of the
    predicted clean latents. The final weights are the weight average. Returns the last ``loss`` and
    the number of ``parameters`` trained. Raises UserError if no parameter's name matches a pattern
    of ``trained``.
    """
    tuned = trained_parameters(prior.transformer, recipe.trained)
    optimiser = torch.optim.AdamW(
        tuned.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    ema = ModelEmaV3(tuned, decay=recipe.ema_decay)
    shape = (len(phase.labels), recipe.memory, math.prod(prior.latent_shape))
    real, drawn = (Memory(*shape).to(prior.device) for _ in range(2))
    alphas = noise_schedule(prior.scheduler_config).alphas_cumprod.to(prior.device)
    own = torch.isin(labels, torch.tensor(phase.labels)).nonzero().flatten()
    # The first phase has the keys of a tuning in one phase.
    key = (recipe.seed, phase.number) if phase.number else (recipe.seed,)
    ahead: list[Iterator[Tensor]] = []

    def rows_of(step: int) -> Tensor:
        return own[epoch_batch(len(own), recipe.batch, step, *key, "finetune")]

    def train_step(step: int) -> float:
        if not ahead:  # a resumed loop starts with another step than the first
            ahead.append(in_batches(images, list(map(rows_of, range(step, recipe.steps)))))
        rows, batch = rows_of(step), next(ahead[0])
        rng = generator("finetune", *key, step)
        places = labels[rows] - phase.labels[0]
        told = torch.tensor(phase.prior_labels)[places]
        told = drop_labels(told, recipe.label_dropout, prior.classes, rng).to(prior.device)
        x0 = noisy_latents(prior, batch, flip, rng)
        predicted, loss = denoising_loss(prior, x0, told, alphas, rng)
        seen = places.to(prior.device)
        loss = loss + minimax_loss(predicted, seen, real, drawn, recipe)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        ema.update(tuned)
        real.add(x0, seen)
        drawn.add(predicted, seen)
        return loss.item()

    parts = {"tuned": tuned, "optimiser": optimiser, "ema": ema.module}
    parts |= {"real": real, "drawn": drawn}
    loss = resumable_loop(parts, train_step, recipe.steps, "finetune", checkpoint)
    tuned.load_state_dict(ema.module.state_dict())
    tuned.requires_grad_(False)
    return {"loss": loss, "parameters": sum(parameter.numel() for parameter in tuned)}


def drop_labels(labels: Tensor, share: float, null: int, rng: torch.Generator) -> Tensor:
    """Replace a random share of labels (B,) by the null class."""
    dropped = torch.rand(len(labels), generator=rng) < share
    return labels.masked_fill(dropped, null)


def trained_parameters(transformer: nn.Module, patterns: list[str]) -> nn.ParameterList:
    """Make only the parameters whose names match a pattern trainable; return them."""
    transformer.requires_grad_(False)
    names = trained_names(transformer, patterns)
    return nn.ParameterList(transformer.get_parameter(name).requires_grad_(True) for name in names)


def noisy_latents(prior: Prior, images: Tensor, flip: float, rng: torch.Generator) -> Tensor:
    """Draw scaled latents (B, c, h, w) of uint8 images (B, C, H, W), mirrored at random."""
    mirrored = torch.rand(len(images), generator=rng) < flip
    images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
    mean, std = encode(prior.autoencoder, images, prior.device)
    noise = torch.randn(mean.shape, generator=rng).to(mean.device)
    return (mean + std * noise) * prior.autoencoder.config["scaling_factor"]


def denoising_loss(
    prior: Prior, x0: Tensor, conditions: Tensor, alphas: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Noise clean latents (B, c, h, w) to random steps; return their prediction and the loss.

    The loss is that of DiT's code: the squared error of the predicted noise plus, if the prior
    learns the variance, variance_loss, both with weight 1. ``conditions`` (B,) are the labels that
    the prior is conditioned on, ``alphas`` the cumulative alphas of all its steps.
    """
    noise = torch.randn(x0.shape, generator=rng).to(x0.device)
    t = torch.randint(len(alphas), (len(x0),), generator=rng).to(x0.device)
    a = alphas[t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * x0 + (1 - a).sqrt() * noise
    output = prior.predict(x_t, t, conditions)
    found, share = output[:, : x0.shape[1]], output[:, x0.shape[1] :]
    predicted = (x_t - (1 - a).sqrt() * found) / a.sqrt()
    loss = (found - noise).square().mean()
    if prior.learned_sigma:
        loss = loss + variance_loss(share, x0 - predicted.detach(), t, alphas).mean()
    return predicted, loss


def variance_loss(share: Tensor, error: Tensor, t: Tensor, alphas: Tensor) -> Tensor:
    """Return the KL divergence (B,), in bits per element, of the model's step from the true one.

    The variational bound's term of Nichol and Dhariwal, "Improved denoising diffusion probabilistic
    models", Eqs. 4 and 15.
    ``share`` (B, c, h, w) on [-1, 1] interpolates the logarithm of the model's variance between
    those of the true posterior's variance and beta. ``error`` (B, c, h, w) is the error of the
    predicted clean latents. It is held constant, so that only the variance learns. At t = 0 the
    result is 0: the bound has the likelihood of 8-bit images there, which latents do not have.
    """
    before = torch.cat([alphas.new_ones(1), alphas[:-1]])
    beta = 1 - alphas / before
    posterior = beta * (1 - before) / (1 - alphas)
    posterior[0] = posterior[1]  # it is 0 there, and t = 0 is not counted
    weight = before.sqrt() * beta / (1 - alphas)
    true, largest, weight = (
        values[t].view(-1, 1, 1, 1) for values in (posterior.log(), beta.log(), weight)
    )
    model = (share + 1) / 2 * (largest - true) + true
    distance = (weight * error).square()
    divergence = model - true - 1 + (true - model).exp() + distance * (-model).exp()
    return divergence.mean((1, 2, 3)) / (2 * math.log(2)) * (t > 0)
