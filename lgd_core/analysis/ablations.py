"""Tables of families: variants by images per class and student, with the base and the paper."""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from lgd_core.analysis.frames import column, rows_where
from lgd_core.analysis.tables import (
    RESULT_COLUMNS,
    differences,
    held_out,
    redundancies,
    redundancy_table,
    result_row,
    runs_by_method,
    with_paper,
)
from lgd_core.config.models.sweep import ResolvedSweep

ABLATION_COLUMNS = (
    "value",
    *RESULT_COLUMNS,
    "validation_mean",
    "validation_std",
    "redundancy",
    "redundancy_std",
    "paper_top1",
    "paper_std",
    "paper_source",
    "diff_to_base",
    "diff_se",
)


def ablation_table(
    dataset: str,
    family: ResolvedSweep,
    sizes: dict[str, int],
    evaluations: dict[str, list[dict[str, Any]]],
    matrices: list[dict[str, Any]],
    paper: pd.DataFrame,
) -> pd.DataFrame:
    """Return one row per protocol, images per class, student and variant of a family, in its order.

    ``family`` as from recipes.Recipes.sweep, ``sizes`` the images per class of an increment by
    method. ``evaluations`` maps a protocol to artifacts, one per student, with method, student,
    seed, k, run and top1; ``matrices`` are those of cross_increment. ``diff_to_base`` is from
    tables.differences. ``validation_mean``, for choosing values, is the accuracy on held-out
    training images.
    """
    values = {method: value for value, method in family.variants}
    accuracies = redundancy_table(matrices)
    rows = []
    for protocol, artifacts in evaluations.items():
        for ipc in family.ipc:
            runs = runs_by_method(
                a for a in artifacts if (int(a["k"]) + 1) * sizes[a["method"]] == ipc
            )
            above = differences(runs, family.base)
            for method, student in _in_order(runs, values):
                each = runs[method, student]
                row = result_row(dataset, ipc, method, student, protocol, each)
                row["value"] = values[method]
                row["validation_mean"], row["validation_std"] = held_out(each)
                repeated = redundancy_at(accuracies, method, ipc // sizes[method])
                row["redundancy"], row["redundancy_std"] = repeated
                row["diff_to_base"], row["diff_se"] = above[method, student]
                rows.append(row)
    return with_paper(pd.DataFrame(rows), paper).reindex(columns=list(ABLATION_COLUMNS))


def _in_order(runs: Iterable[tuple[str, str]], methods: Iterable[str]) -> list[tuple[str, str]]:
    """Sort (method, student) by student in order of appearance, then by method as given."""
    students = list(dict.fromkeys(student for _, student in runs))
    return [(m, s) for s in students for m in methods if (m, s) in runs]


def learner_runs(artifact: dict[str, Any]) -> dict[str, Any]:
    """Return a learner's accuracy in the shape of an evaluation."""
    top1 = artifact["top1"]
    return {
        "method": artifact["method"],
        "student": artifact["recipe"]["learner"]["architecture"],
        "seed": artifact["seed"],
        "k": artifact["k"],
        "run": "0",
        "top1": top1,
        "best_top1": top1,
    }


def redundancy_at(accuracies: pd.DataFrame, method: str, increments: int) -> tuple[float, float]:
    """Return a method's mean off-diagonal accuracy over its first increments, and its deviation.

    ``accuracies`` as from tables.redundancy_table, in percent; the deviation is over sets. A
    network trained on one increment alone does not depend on the number of other increments, so the
    matrix for fewer increments is a corner of the matrix for more. NaN for a single increment or
    without a matrix, the deviation also for a single set.
    """
    corner = column(accuracies, "method") == method
    for name in ("train_increment", "test_increment"):
        corner &= column(accuracies, name) < increments
    found = redundancies(rows_where(accuracies, corner)).get(method)
    return (found.mean, found.std) if found else (math.nan, math.nan)
