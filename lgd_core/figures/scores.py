"""Scores of the methods: how good sets are apart from labels, augmentation and learning rates."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.scores import (
    SHARES,
    arms_by_set,
    augmentation_robust_score,
    bytes_by_method,
    score_table,
)
from lgd_core.base.files import read_json
from lgd_core.figures.layout import SMALL, panels
from lgd_core.figures.making import FigureJob

# The ARS of a set that is worth as much as random real images, with augmentation and without it.
NO_BETTER = augmentation_robust_score(0, 0)


def make(job: FigureJob) -> Figure:
    """Draw the scores of the methods, and write the table with all that is behind them."""
    ((random,),) = arms_by_set(job.artifacts("random")).values()
    table = score_table(
        job.wildcards["dataset"],
        int(job.wildcards["ipc"]),
        job.settings["facts"],
        arms_by_set(job.artifacts("arms")),
        random,
        read_json(job.inputs["real"])["top1"],
        job.artifacts("fidelity"),
        bytes_by_method(job.inputs["sets"]),
    )
    return scores_figure(job.write(table, exact=SHARES), job.looks)


def scores_figure(table: pd.DataFrame, look: Mapping[str, dict[str, Any]]) -> Figure:
    """Draw LRS and ARS of every method with one standard deviation; ``table`` as score_table's."""
    figure, (labels, augmentation) = panels(2, 2, 4.6, 1.3 + 0.36 * len(table))
    _score_panel(labels, table, "lrs", look)
    labels.set(title="Label-robust score", xlabel="LRS")
    labels.set_yticks(range(len(table)), table["method"])
    _score_panel(augmentation, table, "ars", look)
    augmentation.axvline(NO_BETTER, color="0.6", lw=1, ls="--", zorder=0)
    augmentation.set(
        title="Augmentation-robust score", xlabel="ARS (dashed: no better than random real images)"
    )
    augmentation.set_yticks(range(len(table)), [""] * len(table))
    return figure


def _score_panel(
    axis: Axes, table: pd.DataFrame, name: str, look: Mapping[str, dict[str, Any]]
) -> None:
    """Draw a score of every method, a row each, with its number above."""
    for place, row in enumerate(table.to_dict("records")):
        mean, std = row[name], row[f"{name}_std"]
        axis.errorbar(mean, place, xerr=std, capsize=3, **look[row["method"]])
        number = {"ha": "center", "fontsize": SMALL, "bbox": {"fc": "w", "ec": "none", "pad": 0.5}}
        above = {"xytext": (0, 6), "textcoords": "offset points"}
        axis.annotate(f"{mean:.3f} ± {std:.3f}", (mean, place), **above, **number)
    axis.set_ylim(len(table) - 0.5, -0.7)
    axis.margins(x=0.25)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", alpha=0.3)
