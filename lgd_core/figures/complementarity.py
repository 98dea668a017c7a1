"""Errors of a network trained on the first increment, on every later one (Fig. 8)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lgd_core.analysis.analyses import complementarity_table
from lgd_core.figures.layout import dodge, legend_below, note, panels
from lgd_core.figures.making import FigureJob


def make(job: FigureJob) -> Figure:
    """Draw the errors of a network trained on the first increment, on every later one."""
    # Row 0 of the cross-increment matrix has the accuracies of that network.
    accuracies: dict[str, list[list[float]]] = {}
    for artifact in job.artifacts("matrices"):
        accuracies.setdefault(artifact["method"], []).append(artifact["matrix"][0])
    table = job.write(complementarity_table(accuracies, job.settings["images"]))
    return complementarity_figure(table, job.looks)


def complementarity_figure(table: pd.DataFrame, look: Mapping[str, dict[str, Any]]) -> Figure:
    """Draw the share of every later increment that a network trained on the first misclassifies.

    ``table`` as from analyses.complementarity_table; ``look`` as from styles.looks.
    """
    if table.empty:
        return note("one increment: no later one to compare with")
    figure, (axis,) = panels(1, 1, 5.6, 4.0)
    methods = list(table.groupby("method", sort=False))
    for index, (method, rows) in enumerate(methods):
        n, images = rows["n"].iloc[0], rows["images"].iloc[0]
        axis.errorbar(
            rows["increment"] + dodge(index, len(methods)),
            rows["wrong"],
            [rows["wrong"] - rows["wrong_low"], rows["wrong_high"] - rows["wrong"]],
            capsize=3,
            label=f"{method} (n = {n} x {images} images)",
            **look[str(method)],
        )
    axis.set(
        xlabel="later increment",
        ylabel="images wrong (%)",
        ylim=(0, None),
        title="Errors of a network trained on increment 0 alone",
    )
    axis.set_xticks(sorted(table["increment"].unique()))
    legend_below(figure, axis.get_legend_handles_labels()[0], 2)
    return figure
