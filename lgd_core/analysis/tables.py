"""Tables of results, as data frames with fixed columns."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from lgd_core.analysis.frames import column
from lgd_core.analysis.metrics import Spread, mean_off_diagonal, paired_difference, spread
from lgd_core.base.csv_files import parse_csv

# Columns in which a number of the paper and ours must agree to be compared.
PAPER_KEYS = ["dataset", "ipc", "method", "student", "protocol"]

# What every table has of result_row.
RESULT_COLUMNS = (
    "dataset",
    "ipc",
    "method",
    "student",
    "protocol",
    "n",
    "n_sets",
    "n_runs",
    "top1_mean",
    "top1_std",
    "std_between_sets",
    "std_within_sets",
    "best_top1_mean",
    "best_top1_std",
)

TABLE_COLUMNS = (
    *RESULT_COLUMNS,
    "label_bytes",
    "paper_top1",
    "paper_std",
    "diff_to_dit",
    "diff_se",
)

REDUNDANCY_COLUMNS = ("method", "seed", "train_increment", "test_increment", "top1")


def read_paper(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return the paper's accuracies from some of its tables: PAPER_KEYS, and paper_top1 etc.

    If two tables have a number for the same keys, the first one's is kept; ``paper_source`` names
    its table. See config/paper/README.md.
    """
    columns = {"top1": "paper_top1", "std": "paper_std"}
    known = (*PAPER_KEYS, *columns)
    tables = [parse_csv(path, known).assign(paper_source=Path(path).stem) for path in paths]
    if not tables:
        return pd.DataFrame(columns=[*PAPER_KEYS, *columns.values(), "paper_source"])
    paper = pd.concat(tables).dropna(subset="top1").drop_duplicates(PAPER_KEYS)
    return paper.rename(columns=columns)


def by_protocol(artifacts: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Gather evaluations by the protocol that their students learned by."""
    found: dict[str, list[dict[str, Any]]] = {}
    for artifact in artifacts:
        found.setdefault(artifact["protocol"], []).append(artifact)
    return found


def runs_by_method(
    artifacts: Iterable[dict[str, Any]],
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Group evaluations, of one student each, by (method, student)."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for artifact in artifacts:
        runs.setdefault((artifact["method"], artifact["student"]), []).append(artifact)
    return runs


def result_row(
    dataset: str, ipc: int, method: str, student: str, protocol: str, runs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return one row of the accuracy table from runs with ``top1`` and ``best_top1`` in percent.

    Standard deviations are over ``n`` students of one set or, with several sets, over ``n`` sets,
    see metrics.Spread. ``n_runs`` is the number of all students. ``label_bytes`` is the size of a
    set's stored labels; None for networks that were not trained on a distilled set.
    """
    top1, best = (spread(by_set(runs, key)) for key in ("top1", "best_top1"))
    sizes = [run["label_bytes"] for run in runs if "label_bytes" in run]
    return {
        "dataset": dataset,
        "ipc": ipc,
        "method": method,
        "student": student,
        "protocol": protocol,
        "n": top1.n,
        "n_sets": top1.n_sets,
        "n_runs": top1.n_runs,
        "top1_mean": top1.mean,
        "top1_std": top1.std,
        "std_between_sets": top1.between,
        "std_within_sets": top1.within,
        "best_top1_mean": best.mean,
        "best_top1_std": best.std,
        "label_bytes": max(sizes, default=None),
    }


def by_set(runs: Iterable[dict[str, Any]], key: str) -> list[list[float]]:
    """Return the values of a key, grouped by set; runs without a value are left out.

    Runs of one ``seed`` share a distilled set, and so do all runs without a seed.
    """
    sets: dict[str | None, list[float]] = {}
    for run in runs:
        if run.get(key) is not None:
            sets.setdefault(run.get("seed"), []).append(run[key])
    return list(sets.values())


def held_out(runs: list[dict[str, Any]]) -> tuple[float, float]:
    """Return mean and standard deviation of runs' ``validation_top1``; NaN if no run has one.

    The deviation is over students or sets, as in result_row.
    """
    sets = by_set(runs, "validation_top1")
    if not sets:
        return math.nan, math.nan
    found = spread(sets)
    return found.mean, found.std


def spread_over(table: pd.DataFrame) -> str:
    """Return in words what the standard deviations of a table with ``n_sets`` are over."""
    if (column(table, "n_sets") > 1).any():
        return "over n sets, each the mean of its students"
    return "over n students of one set"


def differences(
    runs: dict[tuple[str, str], list[dict[str, Any]]], baseline: str
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the differences of methods to a baseline with the same student, taken run by run.

    ``runs`` maps (method, student) to runs with ``seed``, ``run`` and ``top1``. Runs with the same
    seed and number start from the same weights and see the same order and augmentation. Returns
    mean and standard error in points, over runs for one seed and over seeds for several. They are
    NaN for the baseline itself, if there is no baseline, and for fewer than two pairs.
    """

    def numbered(key: tuple[str, str]) -> dict[str, dict[int, float]]:
        sets: dict[str, dict[int, float]] = {}
        for run in runs.get(key, ()):
            sets.setdefault(run["seed"], {})[run["run"]] = run["top1"]
        return sets

    return {
        (method, student): paired_difference(
            numbered((method, student)),
            {} if method == baseline else numbered((baseline, student)),
        )
        for method, student in runs
    }


def result_table(rows: list[dict[str, Any]], paper: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy table, with the paper's numbers if it has them."""
    table = with_paper(pd.DataFrame(rows), paper).reindex(columns=list(TABLE_COLUMNS))
    return table.astype({"label_bytes": "Int64"})


def with_paper(table: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the columns of read_paper added, empty if the paper has no number."""
    return table.merge(paper.astype({"ipc": int}), on=PAPER_KEYS, how="left")


def redundancy_table(artifacts: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return cross-increment accuracies in percent, a row per method, seed and two increments.

    ``artifacts`` are those of cross_increment, with method, seed and matrix (K x K).
    """
    rows = [
        (artifact["method"], artifact["seed"], i, j, top1)
        for artifact in artifacts
        for i, row in enumerate(artifact["matrix"])
        for j, top1 in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=list(REDUNDANCY_COLUMNS))


def matrix_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the redundancy table as a K x K matrix, the mean over their seeds."""
    return rows.pivot_table("top1", "train_increment", "test_increment")


def redundancies(table: pd.DataFrame) -> dict[str, Spread]:
    """Return the mean off-diagonal accuracy of every method, in percent, over its sets.

    A method of a single increment has none and is left out.
    """
    found: dict[str, list[list[float]]] = {}
    for key, rows in table.groupby(["method", "seed"], sort=False):
        method, _ = cast("tuple[str, str]", key)
        mean = mean_off_diagonal(matrix_of(rows).to_numpy())
        if mean is not None:
            found.setdefault(method, []).append([mean])
    return {method: spread(sets) for method, sets in found.items()}


def curve_table(learners: Mapping[tuple[str, int, int], dict[str, Any]]) -> pd.DataFrame:
    """Return one row per epoch of every learner, keyed by (method, seed, increment).

    ``top1``, in the last row of an increment, is the learner's test accuracy. ``spike``, in the
    first row, is the rise of the loss since the last epoch before the increment.
    """
    rows, before = [], {}
    for (method, seed, k), learner in learners.items():
        curve = learner["curve"]
        for epoch, point in enumerate(curve):
            row = {"method": method, "seed": seed, "increment": k, "epoch": epoch, **point}
            if epoch == 0 and k > 0:
                row["spike"] = point["loss"] - before[method, seed]
            if epoch == len(curve) - 1:
                row["top1"] = learner["top1"]
            rows.append(row)
        before[method, seed] = curve[-1]["loss"]
    columns = [
        "method",
        "seed",
        "increment",
        "epoch",
        "phase",
        "loss",
        "monitored",
        "spike",
        "top1",
    ]
    return pd.DataFrame(rows, columns=columns)
