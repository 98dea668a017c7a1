"""Compute the hours of ImageNet-1K's table on a card, from counted operations; nothing is run.

``python benchmarks/planned_hours.py`` prints the table in docs/imagenet.md. A pass of a network is
counted by PyTorch on tensors without memory, at full size; how many passes an image takes follows
from the recipes, as in the figure ``cost``. A backward pass counts as two forward passes.
"""

from collections.abc import Mapping

import pandas as pd
import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lgd_core.analysis.network_evaluations import drawing_evaluations
from lgd_core.config.kinds import Amounts
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import NetworkSpec
from lgd_core.config.stages import images_trained_on
from lgd_core.networks.classifiers import build_network

DATASET, IPC, RUNS = "imagenet1k", 50, 3
METHODS = ["random", "herding", "rded", "sre2l", "dit", "minimax", "mgd3", "igd", "lgd"]
REAL = 1_281_167
SMALLEST_CLASS = 732
CHECKPOINTS = 5
# Shares of the H100's dense peaks that we assume: bf16 for the prior, TF32 for classifiers.
RATES = {"prior": 0.4 * 989e12, "classifiers": 0.1 * 494e12}
PRIOR_NETWORKS = ("transformer", "decoder", "encoder")


def counted(module: nn.Module, *inputs: torch.Tensor, **more: torch.Tensor) -> float:
    """Return the operations of a forward pass; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs, **more)
    return counter.get_total_flops()


def operations() -> dict[str, float]:
    """Return the operations of a forward pass of one image by network, at full size."""
    with torch.device("meta"):
        transformer = DiTTransformer2DModel(
            num_attention_heads=16, attention_head_dim=72, num_layers=28, out_channels=8
        )
        autoencoder = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
            sample_size=256,
        )
        latents, image = torch.empty(1, 4, 32, 32), torch.empty(1, 3, 256, 256)
        label = torch.zeros(1, dtype=torch.long)
        student, surrogate = (network(name) for name in ("ResNet-18-bn", "ConvNet-6"))
        seen = torch.empty(1, 3, 224, 224)
        found = {
            "transformer": counted(transformer, latents, timestep=label, class_labels=label),
            "decoder": counted(autoencoder.decoder, latents),
            "encoder": counted(autoencoder.encoder, image),
            "surrogate": counted(surrogate, seen),
        }
        return found | dict.fromkeys(("learner", "reference", "network"), counted(student, seen))


def network(name: str) -> nn.Module:
    return build_network(NetworkSpec(name=name, channels=3, size=224, classes=1000)).to("meta")


def hours(passes: Mapping[str, float], size: Mapping[str, float]) -> float:
    """Return the hours of passes, by names of network_evaluations.PASSES."""
    seconds = 0.0
    for name, number in passes.items():
        which, direction = name.rsplit("_", 1)
        rate = RATES["prior" if which in PRIOR_NETWORKS else "classifiers"]
        seconds += number * size[which] * (2 if direction == "backward" else 1) / rate
    return seconds / 3600


def of_method(recipes: Recipes, name: str, size: Mapping[str, float]) -> dict[str, float]:
    """Return the hours of a method: of what comes before its images, of these, of its students."""
    method, classes = recipes.resolved(DATASET, name), len(recipes.dataset(DATASET).classes)
    increments = recipes.increments(DATASET, name, IPC)
    amounts = Amounts(classes, REAL, REAL / classes, SMALLEST_CLASS, CHECKPOINTS)
    stored = classes * method.ipc_per_increment
    drawn = [drawing_evaluations(method, k, amounts) for k in range(increments)]
    return {
        "before": hours(before(recipes, name, increments), size),
        "images": sum(stored * hours(passes, size) for passes in drawn),
        "students": RUNS * hours(lesson(recipes, IPC), size),
    }


def before(recipes: Recipes, name: str, increments: int) -> dict[str, float]:
    """Return the passes for surrogates, tuned priors, latents and learners of a method."""
    method, dataset = recipes.resolved(DATASET, name), recipes.dataset(DATASET)
    if name == "igd":
        epochs = dataset.influence.surrogate.epochs * REAL
        return {"surrogate_forward": epochs, "surrogate_backward": epochs}
    if name == "mgd3":
        return {"encoder_forward": REAL}
    if method.finetune:
        phases = -(-len(dataset.classes) // (method.finetune.classes_per_phase or REAL))
        steps = phases * method.finetune.steps * method.finetune.batch
        passes = ("encoder_forward", "transformer_forward", "transformer_backward")
        return dict.fromkeys(passes, steps)
    if name == "lgd":
        sizes = [method.ipc_per_increment * (k + 1) for k in range(increments - 1)]
        learners = [lesson(recipes, ipc) for ipc in sizes]
        return {key: sum(one[key] for one in learners) for key in learners[0]}
    return {}


def lesson(recipes: Recipes, ipc: int) -> dict[str, float]:
    """Return the passes of training a network on a set by RDED's protocol."""
    protocol = recipes.lesson(DATASET, "rded", "ResNet-18-bn", IPC)
    images = images_trained_on(protocol, ipc * len(recipes.dataset(DATASET).classes))
    return dict.fromkeys(("learner_forward", "learner_backward", "reference_forward"), images)


def planned() -> pd.DataFrame:
    """Return the hours per method and stage, and their sum."""
    recipes = Recipes("config", {"datasets": [DATASET], "methods": METHODS, "ipc": [IPC]})
    size = operations()
    table = pd.DataFrame({name: of_method(recipes, name, size) for name in METHODS}).T
    # Increment 0 of these is that of dit.
    table.loc["all"] = table.sum()
    table["sum"] = table.sum(axis=1)
    return table


if __name__ == "__main__":
    for name, number in operations().items():
        print(f"{name}: {number / 1e9:.1f} billion operations")
    print(planned().round(1).to_markdown())
