"""The networks of a benchmark: small ones of the project's own, or DiT-XL/2 with random weights.

Weights change neither speed nor memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDPMScheduler, DiTTransformer2DModel

from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.models.dataset import (
    AutoencoderConfig,
    SmallDecoderTrainConfig,
    TransformerConfig,
)
from lgd_core.config.settings import NetworkSpec
from lgd_core.diffusion.prior_training import build_autoencoder, build_transformer
from lgd_core.diffusion.priors import Prior, load_prior, place
from lgd_core.diffusion.small_decoder import (
    SmallDecoder,
    build_small_decoder,
    load_small_decoder,
)
from lgd_core.distill.artifacts import Scorer
from lgd_core.networks.classifiers import Preprocess, build_network

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Scale:
    """Sizes of the networks, and the sampler of a recipe for them.

    ``strengths`` are those of learnability and deviation guidance, ``norms`` their norms.
    """

    network: str
    channels: int
    train_size: int
    classes: int
    candidates: int
    steps: int
    window: tuple[int, int]
    cfg_scale: float
    strengths: tuple[float, float]
    norms: tuple[str, str]

    @property
    def spec(self) -> NetworkSpec:
        """The learner, the reference and the student."""
        return NetworkSpec(
            name=self.network, channels=self.channels, size=self.train_size, classes=self.classes
        )


# The recipe lgd as the small prior of Fashion-MNIST and as ImageNette take it.
SCALES = {
    "toy": Scale("ConvNet-2-w8", 3, 16, 2, 2, 4, (1, 2), 1.5, (0.05, 0.03), ("relative",) * 2),
    "small": Scale(
        "ConvNet-3-w32", 1, 28, 10, 3, 25, (5, 22), 1.0, (0.05, 0.03), ("relative",) * 2
    ),
    "full": Scale("ResNetAP-10", 3, 224, 10, 3, 50, (10, 45), 4.0, (15.0, 50.0), ("rms", "raw")),
}


def prior_of(size: str, device: torch.device, max_batch: int, half: bool) -> Prior:
    """Return the prior of a size; ``half`` computes in bfloat16."""
    if size == "small":
        source, precision = ROOT / "priors" / "fashionmnist", "bf16" if half else "fp32"
        return load_prior(str(source), device, max_batch=max_batch, precision=precision)
    torch.manual_seed(0)
    transformer, autoencoder = _toy() if size == "toy" else dit_xl()
    for part in (transformer, autoencoder):
        place(part, device).eval().requires_grad_(False)
    learned = transformer.out_channels == 2 * transformer.config["in_channels"]
    kind = "learned_range" if learned else "fixed_small"
    scheduler: dict[str, Any] = dict(DDPMScheduler(clip_sample=False, variance_type=kind).config)
    return Prior(transformer, autoencoder, scheduler, MicroBatches(max_batch), half)


def _toy() -> tuple[DiTTransformer2DModel, AutoencoderKL]:
    recipe = AutoencoderConfig(widths=[8, 16], norm_groups=4, latent_channels=4)
    autoencoder = build_autoencoder(recipe, channels=3, size=16)
    transformer = TransformerConfig(heads=2, head_dim=8, layers=2, patch_size=2)
    return build_transformer(transformer, autoencoder, classes=10), autoencoder


def dit_xl() -> tuple[DiTTransformer2DModel, AutoencoderKL]:
    """Return DiT-XL/2 at 256 pixels and Stable Diffusion's autoencoder, with random weights."""
    transformer = DiTTransformer2DModel(
        num_attention_heads=16,
        attention_head_dim=72,
        num_layers=28,
        in_channels=4,
        out_channels=8,
        sample_size=32,
        patch_size=2,
        num_embeds_ada_norm=1000,
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        norm_num_groups=32,
        latent_channels=4,
        scaling_factor=0.18215,
    )
    return transformer, autoencoder


def small_decoder_of(size: str, prior: Prior) -> SmallDecoder:
    """Return a small decoder of a prior's latents: that which ships, or random weights."""
    if size == "small":
        return load_small_decoder(str(ROOT / "priors" / "fashionmnist" / "tiny"), prior.device)
    torch.manual_seed(1)
    recipe = SmallDecoderTrainConfig(width=8, blocks=[1, 0])
    toy = size == "toy"
    model = build_small_decoder(recipe, prior.autoencoder) if toy else AutoencoderTiny()
    return SmallDecoder(place(model, prior.device).eval().requires_grad_(False), prior.half)


def scorer_of(scale: Scale, device: torch.device) -> Scorer:
    """Return a scorer of two networks of a scale."""
    learner, reference = (
        build_network(scale.spec, key).to(device).eval().requires_grad_(False)
        for key in ("learner", "reference")
    )
    return Scorer(learner, reference, preprocess_of(scale, device), 0.5)


def preprocess_of(scale: Scale, device: torch.device) -> Preprocess:
    """Return what the networks of a scale do first."""
    mean, std = [0.5] * scale.channels, [0.25] * scale.channels
    return Preprocess(mean, std, scale.train_size).to(device)
