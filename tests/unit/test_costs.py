"""Passes as they happen in the real networks, and benchmarks of jobs."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import changed
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from trees import record_arrays

from lgd_core.analysis.costs import COST_COLUMNS, cost_table, read_amounts
from lgd_core.analysis.network_evaluations import (
    PASSES,
    Amounts,
    drawing_evaluations,
    mean_evaluations,
)
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.files import write_json
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.models.dataset import SmallDecoderTrainConfig
from lgd_core.config.models.images import ImageConfig, NormaliseConfig
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.schema import merge
from lgd_core.config.settings import DrawSettings, SeedSettings, SeenImages
from lgd_core.config.stages import canonical, draw_settings, seed_settings
from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.small_decoder import SmallDecoder, build_small_decoder
from lgd_core.distill import influence as influence_module
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.condensation import Condenser
from lgd_core.distill.context import SourceContext
from lgd_core.distill.increments import draw_candidates, draw_seed
from lgd_core.distill.influence import Influence
from lgd_core.networks.training import Images

SEEN = SeenImages(
    classes=3,
    image=ImageConfig(size=16, channels=3),
    normalise=NormaliseConfig(mean=[0.5] * 3, std=[0.25] * 3),
)
COUNTS = (20, 18, 16)
AMOUNTS = Amounts(classes=3, images=54, images_per_class=18, smallest_class=16, checkpoints=2)
MEMORY = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
DIT = {"ipc_per_increment": 2, "sampler": {"steps": 4, "cfg_scale": 1.5}, "window": [1, 2]}
LGD = DIT | {
    "candidates": 3,
    "learnability": {"strength": 0.1, "norm": "relative"},
    "deviation": {"strength": 0.05, "norm": "relative"},
}
FULL = {"learnability": {"gradient": "full"}}
INFLUENCE = {"influence": {"strength": 0.1, "norm": "relative"}}
NETWORK = {"architecture": "ConvNet-2-w8", "life": 2, "warm_up": 1, "steps": 2, "batch": 8}
DM = {
    "source": "condensed",
    "ipc_per_increment": 2,
    "condensation": {"steps": 3, "real_batch": 4, "network": NETWORK},
}
IDC = {"objective": "gradient", "factor": 2, "real_batch": 20, "network": {"batch": 100}}
RECIPES = {
    "dit": DIT,
    "dit without classifier-free guidance": merge(DIT, {"sampler": {"cfg_scale": 1.0}}),
    "lgd": LGD,
    "no reference": merge(LGD, {"learnability": {"reference_weight": 0.0}}),
    "no deviation": merge(LGD, {"deviation": {"strength": 0.0}}),
    "no ranking": LGD | {"candidates": 1},
    "ranking alone": DIT | {"candidates": 2},
    "deviation alone": DIT | {"deviation": {"strength": 0.05, "norm": "relative"}},
    "strength of this increment 0": merge(LGD, {"learnability": {"strength_by_increment": [0, 1]}}),
    "full gradient": merge(LGD, FULL),
    "full gradient, deviation alone": merge(DIT | {"deviation": {"strength": 1.0}}, FULL),
    "igd": DIT | INFLUENCE | {"deviation": LGD["deviation"]},
    "igd, full gradient": merge(DIT | INFLUENCE, FULL),
    "igd and lgd": LGD | INFLUENCE,
    "mgd3": DIT | {"modes": {"strength": 0.1}},
    "ddim": merge(LGD, {"sampler": {"scheduler": "ddim"}}),
    "dpm-solver++": merge(LGD, {"sampler": {"scheduler": "dpm-solver++"}}),
    "every second step": LGD | {"window": [0, 2], "guidance": {"every": 2}},
    "a window of classifier-free guidance": merge(DIT, {"sampler": {"cfg_window": [1, 1]}}),
    "both, full gradient": merge(LGD | INFLUENCE, FULL)
    | {"window": [0, 3], "guidance": {"every": 2}}
    | {"sampler": {"steps": 4, "cfg_scale": 1.5, "cfg_window": [1, 2]}},
    "a window of a scale of 1": merge(DIT, {"sampler": {"cfg_scale": 1.0, "cfg_window": [1, 1]}}),
    "small decoder": LGD | INFLUENCE | {"guidance": {"decoder": "small"}},
    "small decoder without guidance": DIT | {"guidance": {"decoder": "small"}},
    "herding": {"source": "herding", "ipc_per_increment": 2, "through_autoencoder": True},
    "kcenter": {"source": "kcenter", "ipc_per_increment": 2},
    "dm": DM,
    "real batches above the smallest class, training batches above all": merge(
        DM, {"condensation": {"real_batch": 20, "network": {"batch": 100}}}
    ),
    "idc1": merge(DM, {"condensation": IDC}),
    "real": {"source": "real", "ipc_per_increment": 2},
    "real through the autoencoder": {
        "source": "real",
        "ipc_per_increment": 2,
        "through_autoencoder": True,
    },
}


def recipe(name: str, **changes: object) -> MethodConfig:
    return CompleteMethod.model_validate(RECIPES[name] | changes)


def watch(module: nn.Module, name: str, seen: Counter) -> RemovableHandle:
    """Count the samples that go forward through a module, and the gradients that come back."""

    def hook(_: nn.Module, inputs: tuple, output: object) -> None:
        seen[f"{name}_forward"] += len(inputs[0])
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        if tensor.requires_grad:
            tensor.register_hook(back)

    def back(gradient: Tensor) -> None:
        seen[f"{name}_backward"] += len(gradient)

    return module.register_forward_hook(hook)


@contextlib.contextmanager
def counted(networks: dict[str, nn.Module], seen: Counter) -> Iterator[None]:
    handles = [watch(module, name, seen) for name, module in networks.items()]
    yield
    for handle in handles:
        handle.remove()


def looped(function: Callable, in_dims: tuple = (0,)) -> Callable:
    """Stand in for vmap, one call after another; mapped are tensors and dictionaries of them."""

    def at(value: Tensor | dict, index: int) -> Tensor | dict:
        return {n: t[index] for n, t in value.items()} if isinstance(value, dict) else value[index]

    def size(value: Tensor | dict) -> int:
        return len(next(iter(value.values())) if isinstance(value, dict) else value)

    def call(*values: Tensor | dict) -> Tensor | dict:
        pairs = list(zip(values, in_dims, strict=True))
        (count,) = {size(value) for value, dim in pairs if dim is not None}
        results = [
            function(*(value if dim is None else at(value, i) for value, dim in pairs))
            for i in range(count)
        ]
        if isinstance(results[0], dict):
            return {name: torch.stack([part[name] for part in results]) for name in results[0]}
        return torch.stack(results)

    return call


def plain_grad(function: Callable) -> Callable:
    """Stand in for torch.func.grad with respect to a dictionary."""

    def call(parameters: dict[str, Tensor], *values: Tensor) -> dict[str, Tensor]:
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
        value = function(leaves, *values)
        found = torch.autograd.grad(value, list(leaves.values()), create_graph=True)
        return dict(zip(leaves, found, strict=True))

    return call


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Return a counter; what hooks could not see otherwise is made visible to it."""
    seen, network = Counter(), Condenser.network

    def watched(self: Condenser, step: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        model, trainer = network(self, step)
        watch(model[-2], "network", seen)  # matching distributions has no use for the last layer
        return model, trainer

    monkeypatch.setattr(Condenser, "network", watched)
    monkeypatch.setattr(influence_module, "vmap", looped)
    monkeypatch.setattr(influence_module, "grad", plain_grad)
    return seen


@pytest.fixture
def real(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split in ("train", "originals"):
        np.save(tmp_path / f"{split}_labels.npy", np.repeat(np.arange(3), COUNTS))
        images = rng.integers(0, 256, (sum(COUNTS), 3, 16, 16), np.uint8)
        np.save(tmp_path / f"{split}_images.npy", images)
    record_arrays(tmp_path)
    return tmp_path


@pytest.fixture
def small_decoder(fixed_prior: Prior) -> SmallDecoder:
    recipe = SmallDecoderTrainConfig(width=8, blocks=[1, 0])
    model = build_small_decoder(recipe, fixed_prior.autoencoder)
    return SmallDecoder(model.eval().requires_grad_(False))


@pytest.fixture
def networks(
    fixed_prior: Prior,
    small_decoder: SmallDecoder,
    learner: nn.Module,
    reference: nn.Module,
    influence: Influence,
) -> dict[str, nn.Module]:
    return {
        "transformer": fixed_prior.transformer,
        "decoder": fixed_prior.autoencoder.decoder,
        "small_decoder": small_decoder.model.decoder,
        "encoder": fixed_prior.autoencoder.encoder,
        "learner": learner,
        "reference": reference,
        "surrogate": influence.network,
    }


@pytest.fixture
def artifacts(
    scorer: Scorer, real: Path, influence: Influence, small_decoder: SmallDecoder
) -> Callable[[MethodConfig], Artifacts]:
    """Return a function that gives a method all it may need, and a scorer where it learns."""

    def of(method: MethodConfig) -> Artifacts:
        weight = method.learnability.reference_weight
        learns = method.candidates > 1 or method.learnability.strength
        own = Scorer(scorer.learner, scorer.reference, scorer.preprocess, weight)
        return Artifacts(
            own if learns else None,
            MEMORY,
            RealImages(real),
            influence,
            scorer.reference,
            modes=MEMORY,
            small_decoder=small_decoder if method.guidance.decoder == "small" else None,
        )

    return of


@pytest.fixture
def handed(
    fixed_prior: Prior, artifacts: Callable, bright: Images
) -> Callable[[MethodConfig, int, list[int]], SourceContext[DrawSettings]]:
    """Return a function that gives what a job of a method is handed for some classes."""

    def of(method: MethodConfig, increment: int, labels: list[int]) -> SourceContext[DrawSettings]:
        settings = DrawSettings.model_validate(canonical(draw_settings(method, increment)))
        return SourceContext(
            prior=fixed_prior,
            artifacts=artifacts(method).of_classes([0, 1, 2], labels),
            seen=SEEN.model_copy(update={"augment": bright.augment}),
            prior_labels=[0, 1, 2],
            settings=settings,
            ipc=settings.ipc_per_increment,
            labels=labels,
            key=(0, increment),
            checkpoint=Checkpoint(None),
        )

    return of


def per_image(seen: Counter, classes: int = 3) -> dict[str, float]:
    return {name: seen[name] / (classes * 2) for name in PASSES}


@pytest.mark.parametrize("name", RECIPES)
def test_passes_are_those_that_happen(
    handed: Callable, networks: dict, seen: Counter, name: str
) -> None:
    method = recipe(name)
    with counted(networks, seen):
        draw_candidates(handed(method, 1, [0, 1, 2]))
    assert per_image(seen) == pytest.approx(mean_evaluations(method, [1], AMOUNTS))
    assert sum(seen.values()) > 0


@pytest.mark.parametrize("name", ["lgd", "igd", "every second step", "herding", "dm", "idc1"])
def test_passes_of_a_shard(handed: Callable, networks: dict, seen: Counter, name: str) -> None:
    """What a job does for all classes at once is done again in every shard.

    Class 2 has 16 real images.
    """
    method, amounts = recipe(name), Amounts(1, 54, 16, 16, 2)
    with counted(networks, seen):
        draw_candidates(handed(method, 1, [2]))
    assert per_image(seen, 1) == pytest.approx(mean_evaluations(method, [1], amounts))


@pytest.mark.parametrize("gradient", ["tweedie", "full"])
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("lgd", "prior"),
        ("lgd", "real"),
        ("real", "own"),
        ("deviation alone", "own"),
        ("dit", "own"),
        ("igd", "own"),
        ("igd", "prior"),
        ("mgd3", "own"),
        ("herding", "own"),
        ("dm", "own"),
        ("dm", "real"),
    ],
)
def test_passes_of_increment_0(
    handed: Callable, networks: dict, seen: Counter, name: str, source: str, gradient: str
) -> None:
    learnability = RECIPES[name].get("learnability", {}) | {"gradient": gradient}
    method = recipe(name, seed={"source": source}, learnability=learnability)
    given = handed(method, 0, [0, 1, 2])
    before = dataclasses.replace(given.artifacts, scorer=None, memory=None)
    settings = SeedSettings.model_validate(canonical(seed_settings(method)))
    with counted(networks, seen):
        draw_seed(dataclasses.replace(given, artifacts=before, settings=settings), None)
    assert per_image(seen) == pytest.approx(mean_evaluations(method, [0], AMOUNTS))


def test_passes_of_the_paper_s_recipe() -> None:
    lgd = CompleteMethod.model_validate({"candidates": 3, "learnability": {"strength": 15.0}})
    assert drawing_evaluations(lgd, 1, AMOUNTS) == {
        "transformer_forward": 3 * 50 * 2,
        "decoder_forward": 3 * (36 + 1),
        "decoder_backward": 3 * 36,
        "learner_forward": 3 * (36 + 1),
        "learner_backward": 3 * 36,
        "reference_forward": 3 * (36 + 1),
        "reference_backward": 3 * 36,
    }
    assert not drawing_evaluations(changed(lgd, seed={"source": "dit"}), 0, AMOUNTS), "made by dit"
    late = changed(lgd, learnability={"strength_by_increment": [0.0, 1.0]})
    assert mean_evaluations(late, [1, 2], AMOUNTS)["decoder_backward"] == 3 * 36 / 2


def test_passes_of_fewer_guided_steps_and_a_window_of_classifier_free_guidance() -> None:
    keys = {"learnability": {"strength": 15.0, "gradient": "full"}, "guidance": {"every": 3}}
    lgd = CompleteMethod.model_validate(keys | {"sampler": {"cfg_window": [8, 28]}})
    passes = mean_evaluations(lgd, [1], AMOUNTS)
    assert passes["transformer_forward"] == 50 + 21
    assert passes["decoder_backward"] == passes["learner_backward"] == 12, "45, 42, ..., 12"
    assert passes["transformer_backward"] == 12 + 6, "27, 24, ..., 12 with both branches"


def test_passes_of_influence_grow_with_the_checkpoints() -> None:
    igd = CompleteMethod.model_validate({"window": [30, 45], "influence": {"strength": 5.0}})
    for checkpoints in (1, 5):
        passes = mean_evaluations(igd, [1], dataclasses.replace(AMOUNTS, checkpoints=checkpoints))
        assert passes["surrogate_forward"] == 16 * checkpoints
        assert passes["surrogate_backward"] == 2 * 16 * checkpoints, "a gradient of gradients"
        assert passes["decoder_backward"] == 16


def test_amounts_are_read_from_what_was_made(tmp_path: Path) -> None:
    prepared, checkpoints = tmp_path / "prepared.json", tmp_path / "checkpoints.json"
    counts = dict(zip("abc", COUNTS, strict=True))
    write_json(prepared, {"images": {"train": counts, "test": {"a": 1}}})
    write_json(checkpoints, {"epochs_kept": [1, 7]})
    assert Amounts(3, **read_amounts(prepared, checkpoints)) == AMOUNTS
    assert read_amounts(prepared, None)["checkpoints"] == 0


HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, seconds: float, memory: str) -> str:
    rest = "\t".join(["1.0"] * 6 + ["2.5"])
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{memory}\t{rest}\n")
    return str(path)


def test_cost_sums_the_jobs_of_a_stage(tmp_path: Path) -> None:
    short = benchmark(tmp_path / "a", 0.5, "-")  # too short for Snakemake to look
    jobs = [benchmark(tmp_path / "b", 4.0, "300.0"), benchmark(tmp_path / "c", 6.0, "500.5")]
    curve = tmp_path / "learner.json"
    write_json(curve, {"images": 200, "curve": [{}] * 7})
    chosen = recipe("dit").model_dump(exclude={"description", "extends"})
    drawn = {"recipe": chosen, "increments": [1, 2], "classes": 1.5}
    stages = [
        {"stage": "train_reference", "method": "shared", "used_by": ["lgd", "lgd_omega0.25"]}
        | {"benchmarks": [short]},
        {"stage": "sample_candidates", "method": "lgd", "used_by": ["lgd"], "images": 40}
        | {"benchmarks": jobs, "drawn": drawn},
        {"stage": "train_learner", "method": "lgd", "used_by": ["lgd"], "benchmarks": jobs[:1]}
        | {"curves": [str(curve)] * 2},
    ]
    known = {"images": 54, "images_per_class": 18, "smallest_class": 16}
    table = cost_table("digits", 20, stages, known)
    assert tuple(table.columns) == COST_COLUMNS
    assert table["used_by"].tolist() == ["lgd lgd_omega0.25", "lgd", "lgd"]
    assert table["jobs"].tolist() == [1, 2, 1]
    assert table["seconds"].tolist() == [0.5, 10.0, 4.0]
    assert table["cpu_seconds"].tolist() == [2.5, 5.0, 2.5]
    assert table["peak_memory_mb"].isna().tolist() == [True, False, False]
    assert table["peak_memory_mb"].iloc[1] == 500.5
    assert table["images"].iloc[1:].tolist() == [40, 2 * 7 * 200]
    assert table["images_per_second"].iloc[1:].tolist() == [4.0, 700.0]
    assert table["transformer_forward"].iloc[1] == 4 * 2, "steps, branches"
    assert table["transformer_forward"].isna().tolist() == [True, False, True]
    assert pd.isna(table["images_per_second"].iloc[0])
