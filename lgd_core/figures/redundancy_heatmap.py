"""The cross-increment accuracies of all methods side by side."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lgd_core.analysis.tables import matrix_of, redundancy_table
from lgd_core.figures.layout import groups, pictures
from lgd_core.figures.making import FigureJob
from lgd_core.figures.results import mean_redundancy


def make(job: FigureJob) -> Figure:
    """Draw the cross-increment accuracies of all methods side by side."""
    table = redundancy_table(job.artifacts("matrices"))
    job.write(table)
    return heatmaps(table, job.settings["colormap"])


def heatmaps(table: pd.DataFrame, colormap: str) -> Figure:
    """Draw the cross-increment accuracies of all methods side by side on one colour scale.

    ``table`` as from tables.redundancy_table. Cells are means over sets. Titles give the mean
    off-diagonal accuracy and, of several sets, its standard deviation over them. The lower it is,
    the less the increments repeat one another.
    """
    means = mean_redundancy(table)
    matrices = {method: matrix_of(x).to_numpy() for (method,), x in groups(table, ["method"])}
    figure, axes = pictures(len(matrices), 3, 3.2, 3.4)
    low = min(matrix.min() for matrix in matrices.values())
    for axis, (method, matrix) in zip(axes, matrices.items(), strict=True):
        known = method in means
        about = f"mean off-diagonal {means[method].written()} %" if known else "one increment"
        image = axis.imshow(matrix, vmin=low, vmax=100, cmap=colormap)
        for (i, j), value in np.ndenumerate(matrix):
            dark = value < (low + 100) / 2
            axis.text(
                j, i, f"{value:.0f}", ha="center", va="center", color="w" if dark else "k", size=8
            )
        ticks = range(len(matrix))
        axis.set(
            title=f"{method}\n{about}",
            xlabel="tested on increment",
            ylabel="trained on increment",
            xticks=ticks,
            yticks=ticks,
        )
    figure.colorbar(image, ax=axes, label="top-1 (%)", shrink=0.8, pad=0.02)
    return figure
