"""Pretrained class-conditional latent diffusion priors, from a folder or from the hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.embeddings import Timesteps
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from lgd_core.base.devices import computes_in_half
from lgd_core.base.errors import UserError
from lgd_core.base.finite import require_finite
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.models.method import SchedulerName
from lgd_core.diffusion.phases import Phase, applied
from lgd_core.diffusion.schedulers import Scheduler, build_scheduler

# Key of a transformer's config. With the underscore, diffusers keeps it without a warning.
FREQUENCY_SHIFT = "_timestep_frequency_shift"

Module = TypeVar("Module", bound=nn.Module)
Model = TypeVar("Model", bound=ModelMixin)


@dataclass(frozen=True)
class Prior:
    """A latent diffusion prior; every size comes from the configs of its components.

    ``micro_batches`` bounds the number of samples computed at once. With ``half``, networks compute
    in bfloat16 under autocast. A tuned prior has ``phases``, each with the parameters for its
    classes; see tuned_for.
    """

    transformer: DiTTransformer2DModel
    autoencoder: AutoencoderKL
    scheduler_config: dict[str, Any]
    micro_batches: MicroBatches
    half: bool = False
    phases: tuple[Phase, ...] = ()

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def classes(self) -> int:
        """Number of classes; the null class of classifier-free guidance has the next label."""
        return self.transformer.config["num_embeds_ada_norm"]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (c, h, w) of one latent."""
        config = self.transformer.config
        return (config["in_channels"], config["sample_size"], config["sample_size"])

    @property
    def learned_sigma(self) -> bool:
        """Whether the transformer predicts the variance in a second set of channels."""
        config = self.transformer.config
        return (config["out_channels"] or config["in_channels"]) == 2 * config["in_channels"]

    def scheduler(self, steps: int, name: SchedulerName = "ddpm") -> Scheduler:
        """Return a scheduler of ``steps`` steps, see schedulers.build_scheduler.

        Raises UserError if the prior's steps do not suit those of the scheduler.
        """
        return build_scheduler(name, steps, self.scheduler_config, self.learned_sigma)

    def tuned_for(self, labels: list[int]) -> Iterator[list[int]]:
        """Yield the labels of classes phase by phase, the phase's parameters being in place.

        Without phases all labels come at once. Raises UserError if the phases do not have each of
        the classes once, in the order of ``labels``.
        """
        if not self.phases:
            yield labels
            return
        wanted = set(labels)
        parts = [[label for label in phase.labels if label in wanted] for phase in self.phases]
        if (found := list(chain(*parts))) != labels:
            raise UserError(
                f"tuned prior: found phases for the classes {found}, expected {labels}; "
                "delete the files of its phases and run again"
            )
        for phase, part in zip(self.phases, parts, strict=True):
            if part:
                with applied(self.transformer, phase):
                    yield part

    def predict(self, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Return the transformer's output (N, c or 2c, h, w) for steps and labels, each (N,)."""

        def forward(x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            with self._autocast():
                return self.transformer(x_t, t, labels).sample.to(x_t.dtype)

        return self.micro_batches.map("denoising", forward, x_t, t, labels)

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (N, c, h, w) to images (N, C, H, W) on [0, 1], not clamped."""
        with self._autocast():
            unscaled = latents / self.autoencoder.config["scaling_factor"]
            decoded = decoded_by(self.autoencoder, unscaled)
        return decoded.to(latents.dtype) / 2 + 0.5

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode uint8 images (N, C, H, W) to the scaled means of their latents, on the CPU."""

        def forward(images: Tensor) -> Tensor:
            scaled = images.to(self.device).float() / 127.5 - 1
            return posterior_of(self.autoencoder, scaled).mean.cpu()

        return (
            self.micro_batches.map("encoding", forward, images)
            * self.autoencoder.config["scaling_factor"]
        )

    @torch.inference_mode()
    def decode_images(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (N, c, h, w) to uint8 images (N, C, H, W) as they are stored."""
        return self.micro_batches.map(
            "decoding", lambda part: to_uint8(self.decode(part.to(self.device))), latents
        )

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


def posterior_of(autoencoder: AutoencoderKL, images: Tensor) -> DiagonalGaussianDistribution:
    """Return the distribution of the unscaled latents of images (N, C, H, W) on [-1, 1]."""
    return cast(AutoencoderKLOutput, autoencoder.encode(images)).latent_dist


def decoded_by(autoencoder: AutoencoderKL, latents: Tensor) -> Tensor:
    """Return the images (N, C, H, W) on [-1, 1] of unscaled latents, not clamped."""
    # diffusers' annotation has float32 on the CPU only, but any tensor works.
    decoded = autoencoder.decode(cast(torch.FloatTensor, latents))
    return cast(DecoderOutput, decoded).sample


def to_uint8(images: Tensor) -> Tensor:
    """Clamp images on [0, 1] and round them to 8 bits, on the CPU.

    Raises UserError if a pixel is not finite.
    """
    require_finite(images, "drawn images", "precision: fp32, or a lower strength or rate")
    return (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def load_prior(
    source: str,
    device: torch.device,
    *,
    vae: str | None = None,
    frequency_shift: int | None = None,
    max_batch: int = 64,
    precision: str = "auto",
    compiled: bool = False,
    gradient_checkpointing: bool = False,
) -> Prior:
    """Load a prior from a ``DiTPipeline`` folder or a hub name, weights in single precision.

    ``vae`` is the folder or hub name of an autoencoder that replaces the pipeline's own;
    ``frequency_shift`` is that of set_time_frequencies. ``precision`` bf16 computes in bfloat16
    under autocast, auto does so on a GPU. Raises UserError if a component is missing or broken.
    """
    try:
        # The result is a pair only if more than the config is requested.
        loaded = DDPMScheduler.load_config(source, subfolder="scheduler")
    except OSError as error:
        raise UserError(f"{Path(source) / 'scheduler'}: {_first_line(error)}") from error
    transformer = load_component(DiTTransformer2DModel, source, "transformer", device)
    set_time_frequencies(transformer, frequency_shift)
    whole = (source, "vae") if vae is None else (vae, None)
    autoencoder = load_component(AutoencoderKL, *whole, device)
    if gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
        autoencoder.enable_gradient_checkpointing()
    if compiled:
        # Of a few sizes of batches each gets code of its own, which is faster than code for all.
        transformer.compile(dynamic=False)
        autoencoder.decoder.compile(dynamic=False)
    half = computes_in_half(precision, device.type)
    scheduler = cast(dict[str, Any], loaded)
    return Prior(transformer, autoencoder, scheduler, MicroBatches(max_batch), half)


def load_component(cls: type[Model], source: str, part: str | None, device: torch.device) -> Model:
    """Load a model in single precision from a folder or hub name, or its subfolder ``part``.

    Raises UserError if it is missing or broken, or if a weight is not finite.
    """
    where = Path(source) / (part or "")
    try:
        found = cls.from_pretrained(
            source,
            subfolder=part,
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
        model, info = cast(tuple[Model, dict[str, Any]], found)  # a pair, since info is requested
        if info["missing_keys"]:
            raise KeyError(f"no weights for {info['missing_keys'][0]}")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{where}: {_first_line(error)}") from error
    model = place(model, device)
    for name, tensor in model.state_dict().items():
        require_finite(tensor, f"{where}: {name}", "another copy of the weights")
    return model.eval().requires_grad_(False)


def place(model: Module, device: torch.device) -> Module:
    """Move a model to a device; on a GPU, also to the channels-last memory format."""
    model = on_device(model, device)
    return channels_last(model) if device.type == "cuda" else model


def on_device(model: Module, device: torch.device) -> Module:
    """Move a model to a device."""
    return model.to(device)


def channels_last(model: Module) -> Module:
    """Change a model to the channels-last format, fast for half precision and on a CPU."""
    # torch's annotations lack this signature.
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def set_time_frequencies(transformer: DiTTransformer2DModel, shift: int | None = None) -> None:
    """Embed timesteps at the 128 frequencies 10000^(-i / (128 - shift)).

    DiT's authors use shift 0. diffusers' transformer uses 1 and has no key for it, so with the
    authors' weights the embedding of late timesteps is wrong by radians. None means the config's
    value of ``FREQUENCY_SHIFT``; if it has none, the transformer is not changed.
    """
    shift = transformer.config.get(FREQUENCY_SHIFT) if shift is None else shift
    for module in transformer.modules():
        if shift is not None and isinstance(module, Timesteps):
            module.downscale_freq_shift = shift


def _first_line(error: Exception) -> str:
    return f"cannot be loaded ({str(error).strip().splitlines()[0]})"
