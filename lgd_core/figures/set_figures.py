"""Figures: redundancy heatmaps, learner curves, image grids."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from lgd_core.analysis.tables import matrix_of, mean_redundancy
from lgd_core.base.files import atomic
from lgd_core.figures.layout import over_seeds, pictures
from lgd_core.figures.styles import COLOURS

# Methods are drawn in the run's order, and so get here the colours that palette.looks gives them.
mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=COLOURS)


def save_figure(figure: Figure, path: str | Path, dpi: int, facts: dict[str, str]) -> None:
    """Write a PNG atomically, with facts in its text chunks, and close the figure."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata=facts, bbox_inches="tight")
    plt.close(figure)


def heatmaps(table: pd.DataFrame, colormap: str) -> Figure:
    """Draw the cross-increment accuracies of all methods side by side on one colour scale.

    ``table`` as from tables.redundancy_table. Titles give the mean off-diagonal accuracy: the
    lower, the less the increments repeat one another.
    """
    means = mean_redundancy(table)
    figure, axes = pictures(len(means), 3, 3.2, 3.4)
    low = table["top1"].min()
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


def curves(table: pd.DataFrame) -> Figure:
    """Draw the learner's test accuracy after each increment, and its training loss per epoch.

    ``table`` as from tables.curve_table. Accuracies are means over seeds, each with one set and one
    learner, with one standard deviation; losses are the first seed's, smoothed over 5 epochs.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for method, rows in table.groupby("method", sort=False):
        after = over_seeds(rows, "increment", "top1")
        bars = {"marker": "o", "capsize": 3, "label": method}
        left.errorbar(after.index, after["mean"], after["std"], **bars)
        first = rows[rows["seed"] == rows["seed"].iloc[0]].reset_index(drop=True)
        line = right.plot(first["loss"].rolling(5, min_periods=1).mean(), lw=1, label=method)[0]
        for start in first.index[first["epoch"] == 0][1:]:
            right.axvline(start, color=line.get_color(), lw=0.5, ls=":")
    left.set(xlabel="increment", ylabel="test top-1 (%)", title="Learner after each increment")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(
        xlabel="epoch, all increments", ylabel="training loss", title="Loss across increments"
    )
    left.legend()
    right.legend()
    return figure


def image_grid(images: Tensor) -> np.ndarray:
    """Tile uint8 images (rows, columns, n, C, H, W) to one picture (h, w, C); n side by side.

    A white line of one pixel parts the cells.
    """
    rows, columns, n, channels, height, width = images.shape
    tiles = images.permute(0, 1, 4, 2, 5, 3).reshape(rows, columns, height, n * width, channels)
    picture = np.full(
        (rows * (height + 1) - 1, columns * (n * width + 1) - 1, channels), 255, dtype=np.uint8
    )
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + 1), column * (n * width + 1)
            picture[top : top + height, left : left + n * width] = tiles[row, column].numpy()
    return picture


def sample_grids(grids: dict[str, Tensor], classes: list[str]) -> Figure:
    """Draw per method a grid of classes (down) by increments (across), n images in each cell.

    ``grids`` maps a method to uint8 images (classes, increments, n, C, H, W).
    """
    drawn = {method: image_grid(images) for method, images in grids.items()}
    height, width = next(iter(drawn.values())).shape[:2]
    columns, side = 3, 4.0
    figure, axes = pictures(len(drawn), columns, side * max(width / height, 0.4), side + 0.6)
    for axis, (method, picture) in zip(axes, drawn.items(), strict=True):
        images = grids[method]
        cell_height, cell_width = images.shape[4] + 1, images.shape[2] * images.shape[5] + 1
        axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_xticks(np.arange(images.shape[1]) * cell_width + cell_width / 2)
        axis.set_xticklabels(range(images.shape[1]))
        axis.set_yticks([])
        axis.set(title=method, xlabel="increment")
    centres = np.arange(len(classes)) * cell_height + cell_height / 2
    for axis in axes[::columns]:
        axis.set_yticks(centres, classes, size=8)
    return figure
