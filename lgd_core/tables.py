"""Tables of results, as data frames with fixed columns."""

import json
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd

from lgd_core.metrics import mean_off_diagonal, mean_std

TABLE_COLUMNS = (
    "dataset",
    "ipc",
    "method",
    "student",
    "protocol",
    "n",
    "top1_mean",
    "top1_std",
    "best_top1_mean",
    "best_top1_std",
    "paper_top1",
    "paper_std",
)


def read_json(path: str | Path) -> dict:
    """Read a JSON artifact."""
    return json.loads(Path(path).read_text())


def paper_results() -> pd.DataFrame:
    """Return the paper's accuracies: dataset, ipc, method, student, top1, std."""
    return pd.read_csv(StringIO(files("lgd_core").joinpath("paper_results.csv").read_text()))


def result_row(
    dataset: str, ipc: int, method: str, student: str, protocol: str, runs: list[dict]
) -> dict:
    """Return one row of the accuracy table from runs with ``top1`` and ``best_top1`` in percent."""
    top1, best = ([run[key] for run in runs] for key in ("top1", "best_top1"))
    row = dict(
        zip(TABLE_COLUMNS, (dataset, ipc, method, student, protocol, len(runs)), strict=False)
    )
    row["top1_mean"], row["top1_std"] = mean_std(top1)
    row["best_top1_mean"], row["best_top1_std"] = mean_std(best)
    return row


def result_table(rows: list[dict]) -> pd.DataFrame:
    """Return the accuracy table, the paper's numbers beside ours where it has them."""
    keys = ["dataset", "ipc", "method", "student"]
    paper = paper_results().rename(columns={"top1": "paper_top1", "std": "paper_std"})
    table = pd.DataFrame(rows).merge(paper, on=keys, how="left")
    return table[list(TABLE_COLUMNS)]


def redundancy_table(matrices: dict[str, list[list[list[float]]]]) -> pd.DataFrame:
    """Return cross-increment accuracies, averaged over seeds, from a list of matrices a method."""
    rows = [
        (method, i, j, sum(matrix[i][j] for matrix in seeds) / len(seeds))
        for method, seeds in matrices.items()
        for i in range(len(seeds[0]))
        for j in range(len(seeds[0]))
    ]
    return pd.DataFrame(rows, columns=["method", "train_increment", "test_increment", "top1"])


def matrix_of(table: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return one method's K x K matrix out of the redundancy table."""
    rows = table[table["method"] == method]
    return rows.pivot(index="train_increment", columns="test_increment", values="top1")


def mean_redundancy(table: pd.DataFrame) -> dict[str, float | None]:
    """Return the mean off-diagonal accuracy of every method, in percent; None for K = 1."""
    return {m: mean_off_diagonal(matrix_of(table, m).to_numpy()) for m in table["method"].unique()}


def curve_table(learners: dict[tuple[str, int, int], dict]) -> pd.DataFrame:
    """Return one row per epoch of every learner, keyed by (method, seed, increment).

    ``top1`` is the learner's test accuracy after its increment, in its last row; ``spike`` in its
    first row is the rise of the loss from the last epoch before the increment came.
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


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table with two decimals for accuracies and six significant digits otherwise."""
    from lgd_core.runtime import atomic

    rounded = table.copy()
    for column in rounded.columns:
        if "top1" in column or column.endswith("_std"):
            rounded[column] = rounded[column].astype(float).round(2)
    with atomic(path) as temporary:
        rounded.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
