"""Captions of the report: what a spread is over, for one seed and for several."""

from collections import UserDict
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment, StrictUndefined

REPORT = Path(__file__).parents[2] / "report"


class Values(UserDict):
    """A mapping whose values are attributes too, as snakemake's wildcards and params are."""

    def __getattr__(self, name: str) -> object:
        if name == "data":
            raise AttributeError(name)
        return self[name]


def caption(name: str, seeds: list[int], **keys: object) -> str:
    """Return a caption as the report shows it for a run with some seeds, its lines joined."""
    compared = {"methods": ["dit", "lgd"], "seeds": seeds, "increments": {"dit": 2, "lgd": 2}}
    family = {"title": "Candidates", "base": "lgd", "learner": True, "redundancy": True}
    settings = {
        "compared": compared,
        "family": family,
        "seeds": seeds,
        "images": {"dit": 100, "lgd": 100},
        "zones": {"easy_mean": 0.5, "informative_variance": 0.05},
        "bins": 10,
        "bootstraps": 200,
        "positions": 3,
        "facts": {"protocol": "hard", "student": "ConvNet-3-w32"},
    } | keys
    snakemake = SimpleNamespace(
        wildcards=Values(dataset="digits", ipc="20", family="kappa"),
        params=Values(settings=settings),
    )
    template = Environment(undefined=StrictUndefined).from_string((REPORT / name).read_text())
    return " ".join(template.render(snakemake=snakemake).split())


SPREADS = {
    "table.rst": (
        "over n students of one distilled set",
        "over n distilled sets, one per seed, each",
    ),
    "ablation.rst": ("over n students of one distilled set", "over n distilled sets, one per seed"),
    "curve.rst": ("over 1 seed(s), each with one set", "over 3 seed(s), each with one set"),
    "dynamics.rst": ("n = 1 seed(s), each with one set", "n = 3 seed(s), each with one set"),
    "complementarity.rst": ("not for the choice of network and set", "wider if the networks"),
    "difficulty.rst": ("200 bootstrap resamples of the images of one set;", "over the sets, each"),
    "scores.rst": ("over n rounds of one set,", "over n sets, one per seed, each the mean"),
    "guidance.rst": ("mean over the images of one set;", "mean over sets, one per seed;"),
}


@pytest.mark.parametrize("name", SPREADS)
def test_a_caption_says_what_its_spread_is_over(name: str) -> None:
    one, several = SPREADS[name]
    assert one in caption(name, [0])
    assert several in caption(name, [0, 1, 2])
    assert several not in caption(name, [0])


def test_the_caption_of_a_sample_of_classes_says_so() -> None:
    keys = {"per_cell": 3, "classes": [f"class {i}" for i in range(1000)]}
    whole = caption("samples.rst", [0], **keys)
    assert "Shown" not in whole
    assert whole.endswith("seed 0.")
    some = caption("samples.rst", [0], **keys, shown=keys["classes"][:20])
    assert some == f"{whole} Shown are 20 of 1000 classes, chosen by their names alone."
