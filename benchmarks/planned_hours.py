"""Compute the hours of two tables on an H100, from counted operations; nothing is run.

``python -m benchmarks.planned_hours`` prints the tables in docs/imagenet.md and in
docs/performance.md. A pass of a network is counted by PyTorch on tensors without memory, at full
size; how many passes an image takes follows from the recipes, as in the figure ``cost``. A backward
pass counts as two forward passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import pandas as pd
import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import dit_xl
from lgd_core.analysis.network_evaluations import drawing_evaluations
from lgd_core.config.kinds import Amounts
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import NetworkSpec, StudentSettings
from lgd_core.config.stages import images_trained_on
from lgd_core.networks.classifiers import build_network

RUNS = 3
CHECKPOINTS = 5
SEEN = 224
# Shares of the H100's dense peaks that we assume: bf16 for the prior, TF32 for classifiers.
RATES = {"prior": 0.4 * 989e12, "classifiers": 0.1 * 494e12}
PRIOR_NETWORKS = ("transformer", "decoder", "small_decoder", "encoder")


def counted(module: nn.Module, *inputs: torch.Tensor, **more: torch.Tensor) -> float:
    """Return the operations of a forward pass; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs, **more)
    return counter.get_total_flops()


@cache
def prior_operations() -> dict[str, float]:
    """Return the operations of a forward pass of one image by part of the prior, at full size."""
    with torch.device("meta"):
        transformer, autoencoder = dit_xl()
        latents, image = torch.empty(1, 4, 32, 32), torch.empty(1, 3, 256, 256)
        label = torch.zeros(1, dtype=torch.long)
        return {
            "transformer": counted(transformer, latents, timestep=label, class_labels=label),
            "decoder": counted(autoencoder.decoder, latents),
            "small_decoder": counted(AutoencoderTiny().decoder, latents),
            "encoder": counted(autoencoder.encoder, image),
        }


@cache
def operations(architecture: str, classes: int) -> float:
    """Return the operations of a forward pass of one image of a classifier."""
    spec = NetworkSpec(name=architecture, channels=3, size=SEEN, classes=classes)
    with torch.device("meta"):
        return counted(build_network(spec).to("meta"), torch.empty(1, 3, SEEN, SEEN))


@dataclass(frozen=True)
class Plan:
    """A table: data set, images per class, methods, and how many real images there are.

    ``smallest`` are those of the class that has fewest.
    """

    dataset: str
    ipc: int
    methods: tuple[str, ...]
    real: int
    smallest: int

    @cached_property
    def recipes(self) -> Recipes:
        run = {"datasets": [self.dataset], "methods": [*self.methods], "ipc": [self.ipc]}
        return Recipes("config", run)

    @cached_property
    def classes(self) -> int:
        return len(self.recipes.dataset(self.dataset).classes)

    def sizes(self, method: MethodConfig) -> dict[str, float]:
        """Return the operations of a forward pass of one image by network of a method."""
        dataset = self.recipes.dataset(self.dataset)
        architectures = {
            "surrogate": dataset.influence.surrogate.architecture,
            "network": dataset.reference.architecture,
            "reference": dataset.reference.architecture,
            "learner": method.learner.architecture,
        }
        return prior_operations() | {
            name: operations(known, self.classes) for name, known in architectures.items()
        }


IMAGENET1K = Plan(
    "imagenet1k",
    50,
    ("random", "herding", "rded", "sre2l", "dit", "minimax", "mgd3", "igd", "lgd"),
    1_281_167,
    732,
)
# ILSVRC-2012 has 1,194 chain saws and 1,300 images of each other class.
IMAGENETTE = Plan("imagenette", 100, ("random", "dit", "lgd"), 12_894, 1_194)


def hours(passes: Mapping[str, float], size: Mapping[str, float]) -> float:
    """Return the hours of passes, by names of network_evaluations.PASSES."""
    seconds = 0.0
    for name, number in passes.items():
        which, direction = name.rsplit("_", 1)
        rate = RATES["prior" if which in PRIOR_NETWORKS else "classifiers"]
        seconds += number * size[which] * (2 if direction == "backward" else 1) / rate
    return seconds / 3600


def of_method(plan: Plan, name: str) -> dict[str, float]:
    """Return the hours of a method: of what comes before its images, of these, of its students."""
    method = plan.recipes.resolved(plan.dataset, name)
    increments, size = plan.recipes.increments(plan.dataset, name, plan.ipc), plan.sizes(method)
    amounts = Amounts(plan.classes, plan.real, plan.real / plan.classes, plan.smallest, CHECKPOINTS)
    stored = plan.classes * method.ipc_per_increment
    drawn = [drawing_evaluations(method, k, amounts) for k in range(increments)]
    return {
        "before": hours(before(plan, name, increments), size),
        "images": sum(stored * hours(passes, size) for passes in drawn),
        "students": students(plan, size),
    }


def students(plan: Plan, size: Mapping[str, float]) -> float:
    """Return the hours of a method's students, of all architectures and protocols."""
    recipes, total = plan.recipes, 0.0
    for protocol in recipes.protocols(plan.dataset):
        for student in recipes.students(plan.dataset):
            learnt = recipes.lesson(plan.dataset, protocol, student, plan.ipc)
            own = {**size, "learner": operations(student, plan.classes)}
            total += RUNS * hours(lesson(plan, learnt, plan.ipc), own)
    return total


def before(plan: Plan, name: str, increments: int) -> dict[str, float]:
    """Return the passes for surrogates, tuned priors, latents and learners of a method."""
    method, dataset = plan.recipes.resolved(plan.dataset, name), plan.recipes.dataset(plan.dataset)
    if name == "igd":
        epochs = dataset.influence.surrogate.epochs * plan.real
        return {"surrogate_forward": epochs, "surrogate_backward": epochs}
    if name == "mgd3":
        return {"encoder_forward": plan.real}
    if method.finetune:
        phases = -(-plan.classes // (method.finetune.classes_per_phase or plan.real))
        steps = phases * method.finetune.steps * method.finetune.batch
        passes = ("encoder_forward", "transformer_forward", "transformer_backward")
        return dict.fromkeys(passes, steps)
    if name == "lgd":
        sizes = [method.ipc_per_increment * (k + 1) for k in range(increments - 1)]
        learners = [learner(plan, method, ipc) for ipc in sizes]
        return {key: sum(one[key] for one in learners) for key in learners[0]}
    return {}


def learner(plan: Plan, method: MethodConfig, ipc: int) -> dict[str, float]:
    """Return the passes of training a learner; to the plateau, those of the most epochs."""
    recipe = method.learner
    if recipe.protocol is None:
        seen = (recipe.max_epochs + recipe.squeeze_epochs) * ipc * plan.classes
        return dict.fromkeys(("learner_forward", "learner_backward"), seen)
    taught = plan.recipes.lesson(plan.dataset, recipe.protocol, recipe.architecture, plan.ipc)
    return lesson(plan, taught, ipc)


def lesson(plan: Plan, learnt: StudentSettings, ipc: int) -> dict[str, float]:
    """Return the passes of training a network on a set by a protocol."""
    images = images_trained_on(learnt, ipc * plan.classes)
    passes = dict.fromkeys(("learner_forward", "learner_backward"), images)
    return passes | ({"reference_forward": images} if learnt.labels.source == "online" else {})


def planned(plan: Plan) -> pd.DataFrame:
    """Return the hours per method and stage, and their sum.

    Increment 0 of igd and lgd is that of dit where the recipe says so, and otherwise their own.
    """
    table = pd.DataFrame({name: of_method(plan, name) for name in plan.methods}).T
    table.loc["all"] = table.sum()
    table["sum"] = table.sum(axis=1)
    return table


if __name__ == "__main__":
    for name, number in prior_operations().items():
        print(f"{name}: {number / 1e9:.1f} billion operations")
    for plan in (IMAGENET1K, IMAGENETTE):
        print(f"\n{plan.dataset}, {plan.ipc} images per class\n")
        print(planned(plan).round(1).to_markdown())
