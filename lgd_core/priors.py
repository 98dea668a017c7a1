"""Pretrained class-conditional latent diffusion priors, from a folder or from the hub."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, DiTTransformer2DModel
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from lgd_core.errors import UserError

# Private by its underscore: diffusers keeps such keys of a config without a warning.
FREQUENCY_SHIFT = "_timestep_frequency_shift"


@dataclass(frozen=True)
class Prior:
    """A latent diffusion prior; every size comes from the configs of its components."""

    transformer: DiTTransformer2DModel
    autoencoder: AutoencoderKL
    scheduler_config: dict

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def classes(self) -> int:
        """Number of classes; the null class of classifier-free guidance comes right after."""
        return self.transformer.config.num_embeds_ada_norm

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (c, h, w) of one latent."""
        config = self.transformer.config
        return (config.in_channels, config.sample_size, config.sample_size)

    @property
    def learned_sigma(self) -> bool:
        """Whether the transformer predicts the variance in a second set of channels."""
        config = self.transformer.config
        return (config.out_channels or config.in_channels) == 2 * config.in_channels

    def scheduler(self, steps: int) -> DDPMScheduler:
        """Return ancestral sampling over ``steps`` steps, evenly spaced with both ends kept."""
        scheduler = DDPMScheduler.from_config(
            self.scheduler_config,
            timestep_spacing="linspace",
            clip_sample=False,
            thresholding=False,
            variance_type="learned_range" if self.learned_sigma else "fixed_small",
        )
        scheduler.set_timesteps(steps)
        return scheduler

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (N, c, h, w) to images (N, C, H, W) on [0, 1], not clamped."""
        return (
            self.autoencoder.decode(latents / self.autoencoder.config.scaling_factor).sample / 2
            + 0.5
        )

    @torch.inference_mode()
    def encode(self, images: Tensor, max_batch: int) -> Tensor:
        """Encode uint8 images (N, C, H, W) to the scaled means of their latents, on the CPU."""
        parts = [
            self.autoencoder.encode(part.to(self.device).float() / 127.5 - 1).latent_dist.mean
            for part in images.split(max_batch)
        ]
        return torch.cat(parts).cpu() * self.autoencoder.config.scaling_factor

    @torch.inference_mode()
    def decode_images(self, latents: Tensor, max_batch: int) -> Tensor:
        """Decode scaled latents (N, c, h, w) to uint8 images (N, C, H, W) as they are stored."""
        return torch.cat(
            [to_uint8(self.decode(part.to(self.device))) for part in latents.split(max_batch)]
        )


def to_uint8(images: Tensor) -> Tensor:
    """Clamp images on [0, 1] and round them to 8 bits, on the CPU."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def load_prior(source: str, device: torch.device, revision: str | None = None) -> Prior:
    """Load a prior from a ``DiTPipeline`` folder or from a hub name, in single precision.

    Raises UserError if a component is missing or broken.
    """
    try:
        scheduler = DDPMScheduler.load_config(source, subfolder="scheduler", revision=revision)
    except OSError as error:
        raise UserError(f"{Path(source) / 'scheduler'}: {_first_line(error)}") from error
    transformer = load_component(DiTTransformer2DModel, source, "transformer", revision, device)
    set_time_frequencies(transformer)
    autoencoder = load_component(AutoencoderKL, source, "vae", revision, device)
    return Prior(transformer, autoencoder, scheduler)


def load_component(
    cls: type[nn.Module], source: str, part: str | None, revision: str | None, device: torch.device
) -> nn.Module:
    """Load a model in single precision from a folder or hub name, or from their subfolder ``part``.

    Raises UserError if it is missing or broken.
    """
    where = Path(source) / (part or "")
    try:
        model, info = cls.from_pretrained(
            source,
            subfolder=part,
            revision=revision,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
        if info["missing_keys"]:
            raise KeyError(f"no weights for {info['missing_keys'][0]}")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{where}: {_first_line(error)}") from error
    return model.to(device).eval().requires_grad_(False)


def set_time_frequencies(transformer: DiTTransformer2DModel) -> None:
    """Embed timesteps at the frequencies that ``FREQUENCY_SHIFT`` in the config asks for.

    Of the 128 frequencies 10000^(-i / (128 - shift)), DiT's authors take shift 0 and diffusers'
    transformer takes 1, without a key for it: late steps differ by radians. A config without the
    key is left as diffusers has it.
    """
    shift = transformer.config.get(FREQUENCY_SHIFT)
    for module in transformer.modules():
        if shift is not None and isinstance(module, Timesteps):
            module.downscale_freq_shift = shift


def _first_line(error: Exception) -> str:
    return f"cannot be loaded ({str(error).strip().splitlines()[0]})"
