"""Passes as they happen in the real networks, and benchmarks of jobs."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lgd_core.costs import COST_COLUMNS, cost_table
from lgd_core.increments import draw_candidates, draw_seed
from lgd_core.passes import PASSES, drawing_passes, mean_passes
from lgd_core.priors import Prior
from lgd_core.runtime import Resume
from lgd_core.schema import fill_defaults, load_yaml, merge
from lgd_core.selection import Materials, Scorer

SCHEMA = load_yaml(Path(__file__).parents[2] / "config" / "schemas" / "method.schema.yaml")
DATASET = {"classes": ["a", "b", "c"], "prior_labels": []}
MEMORY = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
DIT = {"ipc_per_increment": 2, "sampler": {"steps": 4, "cfg_scale": 1.5}, "window": [1, 2]}
LGD = DIT | {
    "candidates": 3,
    "learnability": {"strength": 0.1, "norm": "relative"},
    "deviation": {"strength": 0.05, "norm": "relative"},
}
FULL = {"learnability": {"gradient": "full"}}
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
    "real": {"source": "real", "ipc_per_increment": 2},
    "real through the autoencoder": {
        "source": "real",
        "ipc_per_increment": 2,
        "through_autoencoder": True,
    },
}


def recipe(name: str, **changes: object) -> dict:
    return fill_defaults(RECIPES[name] | changes, SCHEMA)


@contextlib.contextmanager
def counted(networks: dict[str, nn.Module]) -> Iterator[Counter]:
    """Count the samples that go forward through networks, and the gradients that come back."""
    seen: Counter = Counter()

    def watch(name: str):
        def hook(_: nn.Module, inputs: tuple, output: object) -> None:
            seen[f"{name}_forward"] += len(inputs[0])
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            if tensor.requires_grad:
                tensor.register_hook(back)

        def back(gradient: torch.Tensor) -> None:
            seen[f"{name}_backward"] += len(gradient)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in networks.items()]
    yield seen
    for handle in handles:
        handle.remove()


@pytest.fixture
def real(tmp_path: Path) -> Path:
    labels = np.repeat(np.arange(3), 8)
    np.save(tmp_path / "originals_labels.npy", labels)
    np.save(tmp_path / "originals_images.npy", np.zeros((24, 3, 16, 16), np.uint8))
    return tmp_path


@pytest.fixture
def networks(fixed_prior: Prior, learner: nn.Module, reference: nn.Module) -> dict[str, nn.Module]:
    return {
        "transformer": fixed_prior.transformer,
        "decoder": fixed_prior.autoencoder.decoder,
        "encoder": fixed_prior.autoencoder.encoder,
        "learner": learner,
        "reference": reference,
    }


def per_image(seen: Counter) -> dict[str, float]:
    return {name: seen[name] / (3 * 2) for name in PASSES}


@pytest.mark.parametrize("name", RECIPES)
def test_passes_are_those_that_happen(
    fixed_prior: Prior, scorer: Scorer, networks: dict, real: Path, name: str
) -> None:
    method = recipe(name)
    weight = method["learnability"]["reference_weight"]
    learns = method["candidates"] > 1 or method["learnability"]["strength"]
    scorer = Scorer(scorer.learner, scorer.reference, scorer.preprocess, weight) if learns else None
    materials = Materials(scorer, MEMORY, real)
    with counted(networks) as seen:
        draw_candidates(fixed_prior, materials, DATASET, method, [0, 1, 2], (0, 1), Resume(None))
    assert per_image(seen) == mean_passes(method, [1])
    assert sum(seen.values()) > 0


@pytest.mark.parametrize("gradient", ["tweedie", "full"])
@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("lgd", "prior"),
        ("lgd", "real"),
        ("real", "own"),
        ("deviation alone", "own"),
        ("dit", "own"),
    ],
)
def test_passes_of_increment_0(
    fixed_prior: Prior, networks: dict, real: Path, name: str, source: str, gradient: str
) -> None:
    learnability = RECIPES[name].get("learnability", {}) | {"gradient": gradient}
    method = recipe(name, seed={"source": source}, learnability=learnability)
    with counted(networks) as seen:
        draw_seed(fixed_prior, Materials(real=real), DATASET, method, 0, Resume(None))
    assert per_image(seen) == mean_passes(method, [0])


def test_passes_of_the_paper_s_recipe() -> None:
    lgd = fill_defaults({"candidates": 3, "learnability": {"strength": 15.0}}, SCHEMA)
    assert drawing_passes(lgd, 1) == {
        "transformer_forward": 3 * 50 * 2,
        "decoder_forward": 3 * (36 + 1),
        "decoder_backward": 3 * 36,
        "learner_forward": 3 * (36 + 1),
        "learner_backward": 3 * 36,
        "reference_forward": 3 * (36 + 1),
        "reference_backward": 3 * 36,
    }
    assert not drawing_passes(lgd | {"seed": {"source": "dit"}}, 0), "made by dit"
    late = merge(lgd, {"learnability": {"strength_by_increment": [0.0, 1.0]}})
    assert mean_passes(late, [1, 2])["decoder_backward"] == 3 * 36 / 2


HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path: Path, seconds: float, memory: str) -> str:
    rest = "\t".join(["1.0"] * 6 + ["2.5"])
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{memory}\t{rest}\n")
    return str(path)


def test_cost_sums_the_jobs_of_a_stage(tmp_path: Path) -> None:
    short = benchmark(tmp_path / "a", 0.5, "-")  # too short for Snakemake to look
    jobs = [benchmark(tmp_path / "b", 4.0, "300.0"), benchmark(tmp_path / "c", 6.0, "500.5")]
    curve = tmp_path / "learner.json"
    curve.write_text(json.dumps({"images": 200, "curve": [{}] * 7}))
    stages = [
        {"stage": "train_reference", "method": "shared", "used_by": ["lgd", "lgd_omega0.25"]}
        | {"benchmarks": [short]},
        {"stage": "sample_candidates", "method": "lgd", "used_by": ["lgd"], "images": 40}
        | {"benchmarks": jobs, "passes": {"transformer_forward": 300}},
        {"stage": "train_learner", "method": "lgd", "used_by": ["lgd"], "benchmarks": jobs[:1]}
        | {"curves": [str(curve)] * 2},
    ]
    table = cost_table("digits", 20, stages)
    assert tuple(table.columns) == COST_COLUMNS
    assert table["used_by"].tolist() == ["lgd lgd_omega0.25", "lgd", "lgd"]
    assert table["jobs"].tolist() == [1, 2, 1]
    assert table["seconds"].tolist() == [0.5, 10.0, 4.0]
    assert table["cpu_seconds"].tolist() == [2.5, 5.0, 2.5]
    assert table["peak_memory_mb"].isna().tolist() == [True, False, False]
    assert table["peak_memory_mb"].iloc[1] == 500.5
    assert table["images"].iloc[1:].tolist() == [40, 2 * 7 * 200]
    assert table["images_per_second"].iloc[1:].tolist() == [4.0, 700.0]
    assert table["transformer_forward"].iloc[1] == 300
    assert pd.isna(table["images_per_second"].iloc[0])
