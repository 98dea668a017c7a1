"""Measurements of any set of images in one table: difficulty, neighbours, near-duplicates, ...

They do not depend on how the set was made.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
from torch import Tensor

from lgd_core.analysis.difficulty import ZONES
from lgd_core.analysis.frames import column
from lgd_core.analysis.metrics import mean_off_diagonal, spread
from lgd_core.analysis.tables import by_set

# Share of real images that, by definition, have a near-duplicate among the real images.
TOLERATED = 0.001
# By rounding, the cosine of equal vectors can be a little below 1.
IDENTICAL = 1 - 1e-5

COLUMNS = (
    "section",
    "metric",
    "subject",
    "increment",
    "tested_on",
    "value",
    "std",
    "n",
    "unit",
)


def duplicate_threshold(similarity: Tensor) -> float:
    """Return the pixel correlation from which on two images are near-duplicates.

    ``similarity`` (M,) is that of random real images to their nearest other image in the training
    split. The result is exceeded by one in a thousand of them. It depends on the data, since digits
    resemble one another far more than photographs do.
    """
    return min(round(float(similarity.double().quantile(1 - TOLERATED)), 6), IDENTICAL)


def set_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the numbers of images and classes; ``table`` as from arriving.read_set."""
    rows = [
        _row("set", "images", len(table), unit="images"),
        _row("set", "classes", column(table, "label").nunique(), unit="classes"),
    ]
    sizes = cast(pd.Series, table.groupby("increment").size())
    return rows + [
        _row("set", "images", size, increment=increment, unit="images")
        for increment, size in sizes.items()
    ]


def accuracy_rows(students: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return mean and standard deviation of every student's last and best accuracies.

    ``students`` maps an architecture to its runs on the set, with ``top1`` and ``best_top1`` in
    percent.
    """
    rows = []
    for student, runs in students.items():
        for metric in ("top1", "best_top1"):
            found = spread(by_set(runs, metric))
            spreads = {"std": found.std, "n": found.n}
            rows.append(_row("accuracy", metric, found.mean, subject=student, **spreads, unit="%"))
    return rows


def redundancy_rows(matrix: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Return the cross-increment accuracies, percent, and their mean off the diagonal if K > 1."""
    rows = [
        _row("redundancy", "top1", value, increment=i, tested_on=j, n=1, unit="%")
        for i, row in enumerate(matrix)
        for j, value in enumerate(row)
    ]
    mean = mean_off_diagonal(matrix)
    if mean is not None:
        rows.append(_row("redundancy", "mean_off_diagonal", mean, n=len(matrix), unit="%"))
    return rows


def complementarity_rows(
    matrix: Sequence[Sequence[float]], sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the errors on each later increment of the network trained on increment 0 (Fig. 8).

    ``matrix`` as in redundancy_rows, ``sizes`` the images of each increment.
    """
    return [
        _share("complementarity", "errors", 100 - matrix[0][k], sizes[k], increment=0, tested_on=k)
        for k in range(1, len(matrix))
    ]


def difficulty_rows(difficulty: pd.DataFrame) -> list[dict[str, Any]]:
    """Return means of mu and sigma2 with standard deviations over images, and shares of zones."""
    n, zones = len(difficulty), column(difficulty, "zone")
    measures = {metric: column(difficulty, metric) for metric in ("mu", "sigma2")}
    rows = [
        _row("difficulty", metric, values.mean(), std=values.std(), n=n)
        for metric, values in measures.items()
    ]
    return rows + [
        _share("difficulty", "zone", 100 * (zones == zone).mean(), n, subject=zone)
        for zone in ZONES
    ]


def neighbour_rows(neighbours: pd.DataFrame, threshold: float) -> list[dict[str, Any]]:
    """Return the similarity to the nearest real images, and shares of near-duplicates.

    ``neighbours`` as from neighbours.neighbours_table, ``threshold`` as from duplicate_threshold.
    """
    rows, n = [], len(neighbours)
    for space in ("reference", "pixels"):
        nearest = column(neighbours, f"{space}_similarity")
        same = 100 * (column(neighbours, f"{space}_class") == neighbours["class"]).mean()
        rows += [
            _row("neighbours", "similarity", nearest.mean(), subject=space, std=nearest.std(), n=n),
            _share("neighbours", "same_class", same, n, subject=space),
        ]
    copies = 100 * (column(neighbours, "pixels_similarity") >= threshold).mean()
    twins = 100 * (column(neighbours, "within_similarity") >= threshold).mean()
    return [
        *rows,
        _share("neighbours", "near_copies_of_real", copies, n, subject="pixels"),
        _row("duplicates", "threshold", threshold, subject="pixels"),
        _share("duplicates", "images_with_one", twins, n, subject="pixels"),
    ]


def diagnosis_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return all measurements as one tidy table, see COLUMNS and config/README.md."""
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"increment": "Int64", "tested_on": "Int64", "n": "Int64"})


def _row(section: str, metric: str, value: float, **others: object) -> dict[str, Any]:
    return {"section": section, "metric": metric, "value": float(value)} | others


def _share(section: str, metric: str, value: float, n: int, **others: object) -> dict[str, Any]:
    """Return a share of n images in percent, with its binomial standard error."""
    error = math.sqrt(max(value * (100 - value), 0) / n)
    return _row(section, metric, value, std=error, n=n, unit="%") | others
