"""The cross-increment accuracies of all methods side by side."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lgd_core.analysis.tables import matrix_of, mean_redundancy, redundancy_table
from lgd_core.figures.layout import pictures
from lgd_core.figures.making import FigureJob


def make(job: FigureJob) -> Figure:
    """Draw the cross-increment accuracies of all methods side by side."""
    matrices: dict[str, list[list[list[float]]]] = {}
    for artifact in job.artifacts("matrices"):
        matrices.setdefault(artifact["method"], []).append(artifact["matrix"])
    table = redundancy_table(matrices)
    job.write(table)
    return heatmaps(table, job.settings["colormap"])


def heatmaps(table: pd.DataFrame, colormap: str) -> Figure:
    """Draw the cross-increment accuracies of all methods side by side on one colour scale.

    ``table`` as from tables.redundancy_table. Titles give the mean off-diagonal accuracy. The lower
    it is, the less the increments repeat one another.
    """
    means = mean_redundancy(table)
    figure, axes = pictures(len(means), 3, 3.2, 3.4)
    low = table.loc[:, "top1"].min()
    for axis, (method, mean) in zip(axes, means.items(), strict=True):
        matrix = matrix_of(table, method).to_numpy()
        image = axis.imshow(matrix, vmin=low, vmax=100, cmap=colormap)
        for (i, j), value in np.ndenumerate(matrix):
            dark = value < (low + 100) / 2
            axis.text(
                j, i, f"{value:.0f}", ha="center", va="center", color="w" if dark else "k", size=8
            )
        ticks = range(len(matrix))
        axis.set(
            title=f"{method}\n"
            + ("one increment" if mean is None else f"mean off-diagonal {mean:.1f} %"),
            xlabel="tested on increment",
            ylabel="trained on increment",
            xticks=ticks,
            yticks=ticks,
        )
    figure.colorbar(image, ax=axes, label="top-1 (%)", shrink=0.8, pad=0.02)
    return figure
