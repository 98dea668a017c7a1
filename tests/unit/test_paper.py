"""The paper's tables, whole: rows and columns counted in the paper, some values read there."""

from pathlib import Path

import pandas as pd
import pytest

from lgd_core.analysis.tables import PAPER_KEYS
from lgd_core.config.recipes import Recipes

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "config" / "paper"
# Cells of the paper's table, and those among them that the text has.
CELLS = {
    "table_1": (2 * 3 * 2 * 9, 2 * 3 * 2 * 9),
    "table_2": (6, 6),
    "table_3": (2 * 3 * 3, 2 * 3 * 3),
    "table_4": (3 * 6, 3 * 6),
    "table_5": (2 * 3 * 2 * 4, 2 * 3 * 2 * 4),
    "table_6": (3 * 5, 1),
    "table_7": (4 * 4, 4 * 4),
    "figure_9": (3, 3),
}


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(PAPER / f"{name}.csv")


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_is_there_once(name):
    rows = table(name)
    assert list(rows.columns) == [*PAPER_KEYS, "top1", "std"]
    assert (len(rows), rows["top1"].notna().sum()) == CELLS[name]
    assert not rows.duplicated(PAPER_KEYS).any()
    # A full grid: as many rows as its axes multiply to.
    axes = [rows[key].nunique() for key in ("dataset", "ipc", "method", "student")]
    assert len(rows) == pd.Series(axes).prod()
    assert rows["top1"].dropna().between(40, 96).all()
    assert rows["std"].dropna().between(0.05, 4).all()
    assert set(rows["protocol"]) <= {"hard", "incremental", "reference", "rded"}
    assert f"`{name}.csv`" in (PAPER / "README.md").read_text()


SPOTS = [
    ("table_1", "imagenette", 50, "random", "ConvNet-6", 71.8, 1.2),
    ("table_1", "imagenette", 50, "mgd3", "ResNet-18", 81.5, 3.4),
    ("table_1", "imagewoof", 100, "lgd", "ResNet-18", 72.9, 0.6),
    ("table_1", "imagewoof", 100, "full", "ConvNet-6", 85.9, 0.4),
    ("table_1", "imagewoof", 50, "idc1", "ResNetAP-10", 49.3, 0.9),
    ("table_2", "imagenet1k", 50, "lgd", "ResNet-18-bn", 60.1, None),
    ("table_3", "imagenette", 50, "lgd", "ResNetAP-10", 84.7, 1.2),
    ("table_3", "imagenette", 100, "lgd_learner_ResNet-18", "ConvNet-6", 86.7, 1.6),
    ("table_4", "imagenette", 10, "igd", "ResNetAP-10", 64.5, 0.9),
    ("table_4", "imagenette", 100, "lgd", "ResNetAP-10", 89.1, 0.7),
    ("table_5", "imagenette", 50, "minimax_igd", "ConvNet-6", 80.6, 0.8),
    ("table_5", "imagewoof", 100, "minimax_lgd", "ResNet-18", 72.1, 0.4),
    ("table_6", "imagenette", 50, "lgd_kappa10", "ResNetAP-10", 85.6, None),
    ("table_7", "imagenette", 30, "lgd_guidance_only", "ResNetAP-10", 77.8, 0.2),
    ("table_7", "imagenette", 50, "lgd_no_ranking", "ResNetAP-10", 84.4, 1.6),
    ("figure_9", "imagenette", 50, "lgd_seed_random", "ResNetAP-10", 83.8, None),
]


@pytest.mark.parametrize("spot", SPOTS, ids=lambda spot: f"{spot[0]}-{spot[3]}")
def test_values_are_the_paper_s(spot):
    name, *key, top1, std = spot
    row = table(name).set_index(PAPER_KEYS[:4]).loc[tuple(key)]
    assert row["top1"] == top1
    assert row["std"] == std or (std is None and pd.isna(row["std"]))


def test_improvements_over_the_baseline_are_those_that_the_paper_prints():
    grid = table("table_7").pivot(index="method", columns="ipc", values="top1")
    above = (grid - grid.loc["dit"]).round(1)
    assert above.loc["lgd_guidance_only"].tolist() == [7.0, 4.8, 4.7, 6.9]
    assert above.loc["lgd_no_ranking"].tolist() == [9.3, 6.9, 8.0, 8.8]
    assert above.loc["lgd"].tolist() == [9.6, 8.1, 8.7, 10.0]


def test_redundancy_and_divergence_are_the_paper_s():
    redundancy = table("redundancy").set_index("method")
    assert redundancy["mean"].to_dict() == {"dit": 94.7, "igd": 87.1, "lgd": 57.65}
    assert redundancy[["lowest", "highest"]].loc["igd"].tolist() == [81, 92]
    reduction = 1 - redundancy["mean"]["lgd"] / redundancy["mean"]["dit"]
    assert round(100 * reduction, 1) == 39.1, "as its abstract says"
    assert table("divergence").set_index("method")["js"].to_dict() == {
        "dit": 2.04,
        "igd": 1.57,
        "lgd": 0.4,
    }


def test_learners_of_table_3_are_variants_of_the_family():
    variants = Recipes(ROOT / "config", {}).sweep("imagenette", "cross_architecture").variants
    assert {method for _, method in variants} == set(table("table_3")["method"])
