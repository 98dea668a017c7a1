"""Measure sampling at ImageNette's size: DiT-XL/2, Stable Diffusion's autoencoder, ResNetAP-10.

Weights are random, which changes neither speed nor memory. ``python benchmarks/full_scale.py``
needs a GPU; ``--small`` runs small networks on a CPU, as a test of the script.
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from diffusers import AutoencoderKL, DDPMScheduler, DiTTransformer2DModel
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.devices import describe, resolve_device
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.provenance import stamp
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.config.settings import NetworkSpec
from lgd_core.diffusion.priors import Prior, place
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.guidances.deviation import DeviationConfig
from lgd_core.distill.selection import Artifacts, IncrementSpec, Scorer, draw
from lgd_core.networks.classifiers import Preprocess, build_network

FULL = {
    "transformer": {"num_attention_heads": 16, "attention_head_dim": 72, "num_layers": 28},
    "widths": (128, 256, 512, 512),
    "layers_per_block": 2,
    "groups": 32,
    "latent": 32,
    "steps": 50,
    "window": (10, 45),
    "network": "ResNetAP-10",
    "train_size": 224,
}
SMALL = FULL | {
    "transformer": {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2},
    "widths": (8, 8, 16, 16),
    "layers_per_block": 1,
    "groups": 4,
    "latent": 4,
    "steps": 3,
    "window": (1, 1),
    "network": "ResNetAP-10-w16",
    "train_size": 32,
}
POSITIONS_OF_IPC_100 = 90  # nine guided increments of ten positions each


def build_prior(size: dict, device: torch.device, options: argparse.Namespace) -> Prior:
    """Return a prior of the given size with random weights."""
    transformer = DiTTransformer2DModel(
        **size["transformer"],
        in_channels=4,
        out_channels=8,
        sample_size=size["latent"],
        patch_size=2,
        num_embeds_ada_norm=1000,
    )
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=size["widths"],
        layers_per_block=size["layers_per_block"],
        norm_num_groups=size["groups"],
        latent_channels=4,
        scaling_factor=0.18215,
    )
    for part in (transformer, autoencoder):
        place(part, device).eval().requires_grad_(False)
    if options.compile:
        transformer.compile()
    scheduler = dict(DDPMScheduler(clip_sample=False, variance_type="learned_range").config)
    micro_batches = MicroBatches(options.max_batch)
    return Prior(transformer, autoencoder, scheduler, micro_batches, device.type == "cuda")


def build_scorer(size: dict, device: torch.device) -> Scorer:
    """Return a scorer of two networks of the given size."""
    spec = NetworkSpec(name=size["network"], channels=3, size=size["train_size"], classes=10)
    networks = [build_network(spec, key).to(device).eval() for key in ("learner", "reference")]
    for network in networks:
        network.requires_grad_(False)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return Scorer(*networks, Preprocess(mean, std, size["train_size"]).to(device), 0.5)


def seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Return the median wall time of a call after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return median(times[1:])


def position(size: dict, classes_per_batch: int | None) -> IncrementSpec:
    """Describe one position of ten classes with three candidates, as in the recipe lgd."""
    return IncrementSpec(
        classes=list(range(10)),
        prior_labels=list(range(0, 1000, 100)),
        positions=1,
        candidates=3,
        sampling=Sampling(size["steps"], 4.0, 3, size["window"]),
        key=(0, 1),
        classes_per_batch=classes_per_batch,
        guidance={
            "learnability": LearnabilityConfig(strength=15.0, norm="rms"),
            "deviation": DeviationConfig(strength=50.0, norm="raw"),
        },
    )


def parts_of_a_step(
    prior: Prior, scorer: Scorer, batch: int, device: torch.device
) -> dict[str, float]:
    """Return the seconds of a guided step's parts, for ``batch`` candidates."""
    x = torch.randn(batch, *prior.latent_shape, device=device)
    labels = torch.arange(batch, device=device) % 10
    side = 8 * prior.latent_shape[1]
    images = torch.rand(batch, 3, side, side, device=device)
    both, steps = x.repeat(2, 1, 1, 1), torch.full((2 * batch,), 500, device=device)

    def gradient(score: Callable[[Tensor], Tensor], at: Tensor, work: str) -> Tensor:
        def uphill(at: Tensor) -> Tensor:
            at = at.clone().requires_grad_(True)
            return torch.autograd.grad(score(at), at)[0]

        return prior.micro_batches.map(work, uphill, at)

    def judge(images: Tensor) -> Tensor:
        return scorer(images, labels[: len(images)]).sum()

    with torch.no_grad():
        denoising = seconds(lambda: prior.predict(both, steps, labels.repeat(2)), device)
    through_decoder = seconds(
        lambda: gradient(lambda x: judge(prior.decode(x)), x, "guidance"), device
    )
    learner = seconds(lambda: gradient(judge, images, "learner"), device)
    return {"transformer": denoising, "decoder": through_decoder - learner, "learner": learner}


def main() -> None:
    """Print time, shares and memory of one position, and the hours for IPC 100, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small networks, for a CPU")
    parser.add_argument("--compile", action="store_true", help="compile the transformer")
    parser.add_argument("--max-batch", type=int, default=64, help="images in one forward pass")
    parser.add_argument("--classes-per-batch", type=int, default=1, help="0 for all")
    options = parser.parse_args()
    device, size = resolve_device("auto"), SMALL if options.small else FULL
    torch.set_float32_matmul_precision("high")
    prior, scorer = build_prior(size, device, options), build_scorer(size, device)
    classes = options.classes_per_batch or None
    spec = position(size, classes)
    artifacts = Artifacts(scorer, memory=torch.randn(10, 10, *prior.latent_shape))
    whole = seconds(lambda: draw(prior, artifacts, spec, Checkpoint(None)), device, repeats=3)
    guided = size["window"][1] - size["window"][0] + 1
    batch = 3 * (options.classes_per_batch or 10)
    parts = parts_of_a_step(prior, scorer, batch, device)
    parts["transformer"] *= size["steps"] / guided
    facts = {
        "size": "small" if options.small else "full",
        "options": vars(options),
        "seconds_per_position": whole,
        "images_per_second": 30 / whole,
        "shares": {name: part / sum(parts.values()) for name, part in parts.items()},
        "chunks": prior.micro_batches.found,
        "hours_for_ipc_100": whole * POSITIONS_OF_IPC_100 / 3600,
    }
    if device.type == "cuda":
        facts["peak_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
    print(json.dumps(stamp(**describe(device), **facts), indent=2))


if __name__ == "__main__":
    main()
