"""Training a class-conditional latent diffusion prior from scratch.

A small ``AutoencoderKL`` first, then a ``DiTTransformer2DModel`` on its latents (Peebles and Xie,
"Scalable diffusion models with transformers"), in the folder format of diffusers' ``DiTPipeline``.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.pipelines.dit.pipeline_dit import DiTPipeline
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint, resumable_loop
from lgd_core.base.files import share
from lgd_core.base.seeding import epoch_batch, generator
from lgd_core.config.models.dataset import (
    AutoencoderConfig,
    OptimisedConfig,
    TransformerConfig,
)
from lgd_core.diffusion.priors import (
    channels_last,
    decoded_by,
    on_device,
    posterior_of,
)
from lgd_core.diffusion.schedulers import noise_schedule

Model = TypeVar("Model", bound=nn.Module)


def scale_images(images: Tensor) -> Tensor:
    """Map uint8 images (N, C, H, W) to float in [-1, 1], the range of the autoencoder."""
    return images.float() / 127.5 - 1.0


def build_autoencoder(recipe: AutoencoderConfig, channels: int, size: int) -> AutoencoderKL:
    """Build the autoencoder of a prior recipe; every width but the first halves the resolution."""
    widths = tuple(recipe.widths)
    # In a dict, since diffusers' annotations only allow tuples of one element.
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "block_out_channels": widths,
    }
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        latent_channels=recipe.latent_channels,
        norm_num_groups=recipe.norm_groups,
        sample_size=size,
        mid_block_add_attention=False,
        **levels,
    )


def build_transformer(
    recipe: TransformerConfig, autoencoder: AutoencoderKL, classes: int
) -> DiTTransformer2DModel:
    """Build the transformer of a prior recipe for the latents of ``autoencoder``."""
    config = autoencoder.config
    return DiTTransformer2DModel(
        num_attention_heads=recipe.heads,
        attention_head_dim=recipe.head_dim,
        in_channels=config["latent_channels"],
        out_channels=config["latent_channels"],
        num_layers=recipe.layers,
        sample_size=config["sample_size"] // 2 ** (len(config["block_out_channels"]) - 1),
        patch_size=recipe.patch_size,
        num_embeds_ada_norm=classes,
        norm_type="ada_norm_zero",
        norm_elementwise_affine=False,
    )


def optimise(
    model: Model,
    loss_at: Callable[[int], Tensor],
    recipe: OptimisedConfig,
    name: str,
    checkpoint: Checkpoint,
) -> tuple[Model, float]:
    """Minimise ``loss_at(step)`` with AdamW, warm-up and cosine decay; return EMA and last loss.

    ``loss_at`` must depend on the step alone, so that a resumed run gives the same result as an
    uninterrupted one. The loss returned is the mean over the last hundredth of the steps.
    """
    steps = recipe.steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimiser, min(200, steps // 10), steps)
    ema = ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True)

    def train_step(step: int) -> float:
        loss = loss_at(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        ema.update(model, step=step)
        return loss.item()

    parts = {"model": model, "optimiser": optimiser, "schedule": schedule, "ema": ema.module}
    loss = resumable_loop(parts, train_step, steps, name, checkpoint)
    return cast(Model, ema.module).eval(), loss


def feature_distance(network: nn.Module, images: Tensor, others: Tensor) -> Tensor:
    """Return the mean squared error between feature maps of two batches, relative to the first's.

    Averaged over the children of ``network`` before its classifier. This is the perceptual loss of
    Johnson et al. (2016), with the features of a classifier of the data set.
    """
    distances = []
    for block in network.children():
        if isinstance(block, nn.Flatten | nn.Linear):
            break
        images, others = block(images), block(others)
        distances.append((images - others).square().mean() / images.square().mean())
    return torch.stack(distances).mean()


def train_autoencoder(
    images: Tensor,
    recipe: AutoencoderConfig,
    seed: int,
    features: nn.Module,
    checkpoint: Checkpoint,
    device: torch.device,
) -> tuple[AutoencoderKL, float]:
    """Train the autoencoder on uint8 images (N, C, H, W); return it with its last loss.

    Loss: mean squared error on [-1, 1], plus ``kl_weight`` times the KL divergence per latent
    element, plus ``feature_weight`` times the distance in the layers of ``features``, a classifier
    of normalised images. The scaling factor, which gives latents unit variance, goes into the
    config.
    """
    torch.manual_seed(seed)
    model = build_autoencoder(recipe, images.shape[1], images.shape[2])
    model = channels_last(on_device(model, device))

    def loss_at(step: int) -> Tensor:
        rows = epoch_batch(len(images), recipe.batch, step, seed, "autoencoder")
        batch = scale_images(images[rows].to(device)).contiguous(memory_format=torch.channels_last)
        posterior = posterior_of(model, batch)
        noise = torch.randn(posterior.mean.shape, generator=generator(seed, "posterior", step))
        latents = posterior.mean + posterior.std * noise.to(device)
        decoded = decoded_by(model, latents)
        kl = posterior.kl().sum() / posterior.mean.numel()
        loss = F.mse_loss(decoded, batch) + recipe.kl_weight * kl
        if recipe.feature_weight:
            distance = feature_distance(features, batch / 2 + 0.5, decoded / 2 + 0.5)
            loss = loss + recipe.feature_weight * distance
        return loss

    model, loss = optimise(model, loss_at, recipe, "autoencoder", checkpoint)
    mean, std = encode(model, images[:4096], device)
    total = mean.var() + std.square().mean()
    model.register_to_config(scaling_factor=1.0 / math.sqrt(total.item()))
    return model, loss


@torch.inference_mode()
def encode(
    autoencoder: AutoencoderKL, images: Tensor, device: torch.device, batch: int = 256
) -> tuple[Tensor, Tensor]:
    """Return posterior mean and standard deviation (N, c, h, w) of uint8 images, unscaled."""
    posteriors = [
        posterior_of(autoencoder, scale_images(part.to(device))) for part in images.split(batch)
    ]
    return torch.cat([p.mean for p in posteriors]), torch.cat([p.std for p in posteriors])


def train_transformer(
    autoencoder: AutoencoderKL,
    images: Tensor,
    labels: Tensor,
    classes: int,
    recipe: TransformerConfig,
    seed: int,
    checkpoint: Checkpoint,
    device: torch.device,
) -> tuple[DiTTransformer2DModel, float]:
    """Train the transformer to predict noise on the latents of labelled uint8 images.

    The loss is weighted by min(SNR, gamma)/SNR (Hang et al., "Efficient diffusion training via
    min-SNR weighting"), which gives the nearly noise-free steps a low weight, for small models.
    """
    torch.manual_seed(seed + 1)
    model = on_device(build_transformer(recipe, autoencoder, classes), device)
    # Evaluation mode on purpose: in training mode each block drops labels independently, so a label
    # may be dropped in one block and kept in another. Labels are dropped below instead.
    model.eval()
    mean, std = encode(autoencoder, images, device)
    scale = autoencoder.config["scaling_factor"]
    alphas = DDPMScheduler().alphas_cumprod.to(device)
    snr = alphas / (1 - alphas)
    weights = snr.clamp(max=recipe.min_snr_gamma) / snr

    def loss_at(step: int) -> Tensor:
        rows = epoch_batch(len(labels), recipe.batch, step, seed, "transformer")
        rng = generator(seed, "transformer", step)
        posterior_noise, noise = torch.randn(2, *mean[rows].shape, generator=rng).to(device)
        t = torch.randint(0, len(alphas), (len(rows),), generator=rng).to(device)
        dropped = torch.rand(len(rows), generator=rng) < recipe.label_dropout
        y = labels[rows].masked_fill(dropped, classes).to(device)
        x0 = (mean[rows] + std[rows] * posterior_noise) * scale
        a = alphas[t].view(-1, 1, 1, 1)
        predicted = model(a.sqrt() * x0 + (1 - a).sqrt() * noise, t, y).sample
        return (weights[t] * (predicted - noise).square().mean((1, 2, 3))).mean()

    return optimise(model, loss_at, recipe, "transformer", checkpoint)


def save_prior(
    folder: str,
    transformer: DiTTransformer2DModel,
    autoencoder: AutoencoderKL,
    names: list[str] | None = None,
    dtype: torch.dtype | None = torch.float16,
) -> None:
    """Write a ``DiTPipeline`` folder; ``names`` are the classes in label order, if known.

    ``dtype`` None keeps the precision of every tensor. The noise schedule is DDPM's own.
    """
    learned = transformer.out_channels == 2 * transformer.config["in_channels"]
    schedule = noise_schedule(
        {},
        clip_sample=False,
        variance_type="learned_range" if learned else "fixed_small",
    )
    pipeline = DiTPipeline(
        transformer=transformer,
        vae=autoencoder,
        # diffusers' annotation has an enumeration of schedulers' names.
        scheduler=schedule,  # pyright: ignore[reportArgumentType]
    )
    if names is not None:
        pipeline.register_to_config(id2label={str(label): name for label, name in enumerate(names)})
    if dtype is not None:
        pipeline.to(dtype)
    pipeline.save_pretrained(folder)
    share(folder)
