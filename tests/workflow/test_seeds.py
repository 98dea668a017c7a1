"""Several seeds: what gathers results takes each seed's set as one, from planted results."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Project

from lgd_core.analysis.tables import redundancy_table
from lgd_core.base.csv_files import write_csv
from lgd_core.base.files import write_json
from lgd_core.data.distilled import write_folder

TABLE, PAGE = (f"results/digits_ipc20/table.{kind}" for kind in ("csv", "html"))
STUDENTS = "results/digits_ipc20/students.csv"
FAMILY = "results/digits/ablation/kappa.csv"
GATHERING = ("table", "table_page", "ablation", "students")
SEEDS = ("0", "1", "2")
REDUNDANCY = "results/digits_ipc20/redundancy.csv"
# A set of one image, and what the record of a student says beside its accuracy.
BLANK = {
    "images": torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
    "labels": torch.zeros(1, dtype=torch.int64),
    "positions": torch.zeros(1, dtype=torch.int64),
    "scores": torch.full((1,), torch.nan),
}
TRAINED = {
    "recipe": {"evaluation": {"epochs": 20, "steps": None}},
    "hardware": "a processor",
    "versions": {"torch": "2.15.0"},
}


def plant(folder: Path) -> pd.DataFrame:
    """Write evaluations of three seeds with two students each; return their raw runs."""
    rng, rows = np.random.default_rng(0), []
    reference = {"top1": 95.0, "best_top1": 96.0}
    (folder / "results/digits/reference").mkdir(parents=True)
    write_json(folder / "results/digits/reference/metrics.json", reference)
    for method in ("random", "dit", "lgd", "lgd_no_ranking", "lgd_kappa10"):
        for seed in SEEDS:
            runs = [
                {"run": run, "top1": x, "best_top1": x + 1, "validation_top1": x + 2}
                for run, x in enumerate(rng.normal(80, 3, 2).tolist())
            ]
            rows += [{"method": method, "seed": seed, **run} for run in runs]
            facts = {"method": method, "seed": seed, "k": "1", "student": "ConvNet-2-w16"}
            facts |= {"protocol": "hard", "label_bytes": 0, "dataset": "digits"}
            facts |= {"hardware": "a processor", "versions": {"torch": "2.15.0"}}
            path = folder / f"results/digits/{method}/s{seed}/k1/evaluate/hard/ConvNet-2-w16"
            path.mkdir(parents=True)
            write_folder(path.parents[2] / "distilled", [BLANK], ["a"], {})
            for run in runs:
                write_json(path / f"r{run['run']}.json", facts | TRAINED | run)
    matrices = [
        {"method": method, "seed": seed, "matrix": [[100.0, 60.0], [60.0, 100.0]]}
        for method in ("random", "dit", "lgd")
        for seed in SEEDS
    ]
    (folder / REDUNDANCY).parent.mkdir(parents=True)
    write_csv(redundancy_table(matrices), folder / REDUNDANCY)
    return pd.DataFrame(rows)


def test_tables_of_several_seeds_are_over_sets(fresh: Project) -> None:
    raw = plant(fresh.folder)
    variants = {"kappa": {"ipc": [20], "values": [1, 3, 10], "learner": False, "redundancy": False}}
    options = json.dumps({"ablations": variants})
    run = ("--config", "seeds=[0,1,2]", f"overrides={options}", "students=[ConvNet-2-w16]")
    fresh.make(*run, "--allowed-rules", *GATHERING, "--", TABLE, PAGE, FAMILY, STUDENTS)
    means = raw.groupby(["method", "seed"])["top1"].mean().unstack("method")
    found = pd.read_csv(fresh.folder / TABLE).set_index("method")
    family = pd.read_csv(fresh.folder / FAMILY).set_index("method")
    assert found.loc["full", ["n", "n_sets", "n_runs"]].tolist() == [1, 1, 1]
    for table, base, column in ((found, "dit", "diff_to_dit"), (family, "lgd", "diff_to_base")):
        for method in table.index.drop(["full", base], errors="ignore"):
            row, apart = table.loc[method], means[method] - means[base]
            assert row[["n", "n_sets", "n_runs"]].tolist() == [3, 3, 6]
            expected = [means[method].mean(), means[method].std(), apart.mean(), apart.sem()]
            numbers = row[["top1_mean", "top1_std", column, "diff_se"]].tolist()
            assert numbers == pytest.approx(expected, abs=0.006), method
    listed = pd.read_csv(fresh.folder / STUDENTS)
    keys = ["method", "seed", "run"]
    planted = raw[raw["method"].isin(listed["method"])].astype({"seed": int}).sort_values(keys)
    assert len(listed) == 18
    accuracies = listed.sort_values(keys)["top1"].tolist()
    assert accuracies == pytest.approx(planted["top1"].tolist(), abs=0.006)
    assert listed.groupby("method")["recipe"].nunique().tolist() == [1, 1, 1]
    assert "over n sets, each the mean of its students" in (fresh.folder / PAGE).read_text()
