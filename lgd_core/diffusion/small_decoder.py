"""A small decoder of a prior's latents, whose gradients are cheap: diffusers' ``AutoencoderTiny``.

Bohan, "TAESD" (2023) trains one for Stable Diffusion; a small one for a prior of one's own is
trained here, to decode as the prior's autoencoder does.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.devices import computes_in_half
from lgd_core.base.files import atomic, share
from lgd_core.base.seeding import epoch_batch, generator
from lgd_core.config.models.dataset import SmallDecoderTrainConfig
from lgd_core.config.prior_fit import check_blocks
from lgd_core.diffusion.prior_training import encode, optimise
from lgd_core.diffusion.priors import decoded_by, load_component, on_device


@dataclass(frozen=True)
class SmallDecoder:
    """A small decoder of scaled latents; with ``half`` it computes in bfloat16 under autocast."""

    model: AutoencoderTiny
    half: bool = False

    def __call__(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (N, c, h, w) to images (N, C, H, W) on [0, 1], not clamped."""
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=self.half):
            decoded = quickly_decoded(self.model, latents)
        return decoded.to(latents.dtype) / 2 + 0.5


def load_small_decoder(source: str, device: torch.device, precision: str = "auto") -> SmallDecoder:
    """Load a small decoder from a folder or a hub name; ``precision`` as for load_prior.

    Raises UserError if it is missing or broken.
    """
    model = load_component(AutoencoderTiny, source, None, device)
    return SmallDecoder(model, computes_in_half(precision, device.type))


def build_small_decoder(
    recipe: SmallDecoderTrainConfig, autoencoder: AutoencoderKL
) -> AutoencoderTiny:
    """Build a small autoencoder of the latents of ``autoencoder``; its encoder is not used.

    Raises UserError unless the recipe has a number of blocks for every resolution.
    """
    config, levels = autoencoder.config, len(autoencoder.config["block_out_channels"])
    check_blocks(recipe.blocks, levels)
    return AutoencoderTiny(
        in_channels=config["in_channels"],
        out_channels=config["out_channels"],
        encoder_block_out_channels=(4,) * levels,
        decoder_block_out_channels=(recipe.width,) * levels,
        latent_channels=config["latent_channels"],
        num_encoder_blocks=(0,) * levels,
        num_decoder_blocks=tuple(recipe.blocks),
    )


def train_small_decoder(
    autoencoder: AutoencoderKL,
    images: Tensor,
    recipe: SmallDecoderTrainConfig,
    checkpoint: Checkpoint,
    device: torch.device,
) -> tuple[AutoencoderTiny, float]:
    """Train a small decoder of scaled latents on uint8 images (N, C, H, W); return the last loss.

    The loss is the mean squared error, on [-1, 1], to what ``autoencoder`` decodes from latents of
    images with noise of a random size up to ``recipe.noise``: x0 is not clean while it is guided.
    """
    seed = recipe.seed
    torch.manual_seed(seed)
    model = on_device(build_small_decoder(recipe, autoencoder), device)
    mean, std = encode(autoencoder, images, device)
    scale = autoencoder.config["scaling_factor"]

    def loss_at(step: int) -> Tensor:
        rows = epoch_batch(len(images), recipe.batch, step, seed, "small decoder")
        rng = generator(seed, "small decoder", step)
        posterior, noise = torch.randn(2, *mean[rows].shape, generator=rng).to(device)
        size = recipe.noise * torch.rand(len(rows), 1, 1, 1, generator=rng).to(device)
        latents = (mean[rows] + std[rows] * posterior) * scale + size * noise
        with torch.no_grad():
            wanted = decoded_by(autoencoder, latents / scale)
        return F.mse_loss(quickly_decoded(model, latents), wanted)

    return optimise(model, loss_at, recipe, "small decoder", checkpoint)


def quickly_decoded(decoder: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Return the images (N, C, H, W) on [-1, 1] of scaled latents, not clamped."""
    return cast(Tensor, decoder.decoder(latents / decoder.config["scaling_factor"]))


def save_small_decoder(folder: str | Path, decoder: AutoencoderTiny) -> None:
    """Write a small decoder as a folder that diffusers loads, in half precision."""
    with atomic(folder) as temporary:
        decoder.half().save_pretrained(temporary)
        config = temporary / "config.json"
        # diffusers writes this key and warns of it when it reads the file.
        known = json.loads(config.read_text())
        known.pop("block_out_channels", None)
        config.write_text(json.dumps(known, indent=2))
        share(temporary)
