"""The images of every method in a grid of classes and increments."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lgd_core.data.distilled import read_grid
from lgd_core.figures.layout import pictures
from lgd_core.figures.making import FigureJob


def make(job: FigureJob) -> Figure:
    """Draw the images of every method in a grid of classes and increments."""
    classes, first_seed = job.settings["classes"], f"s{job.settings['compared']['seeds'][0]}"
    shown = job.settings.get("shown", classes)
    grids = {
        folder.parts[-4]: read_grid(folder, classes, job.settings["per_cell"], shown)
        for folder in map(Path, job.inputs["sets"])
        if folder.parts[-3] == first_seed
    }
    return sample_grids(grids, shown, len(classes))


def sample_grids(grids: dict[str, Tensor], classes: list[str], of: int) -> Figure:
    """Draw one grid per method: classes down, increments across, n images in each cell.

    ``grids`` maps a method to uint8 images (classes, increments, n, C, H, W), ``of`` is the number
    of classes in the data set. The title says how many are shown, if not all are.
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
        axis.set_xticklabels(list(map(str, range(images.shape[1]))))
        axis.set_yticks([])
        axis.set(title=method, xlabel="increment")
    centres = np.arange(len(classes)) * cell_height + cell_height / 2
    for axis in axes[::columns]:
        axis.set_yticks(centres, classes, size=8)
    if len(classes) < of:
        figure.suptitle(f"{len(classes)} of {of} classes")
    return figure


def image_grid(images: Tensor) -> np.ndarray:
    """Tile uint8 images (rows, columns, n, C, H, W) to one picture (h, w, C).

    The n images of a cell are side by side; a white line of one pixel separates the cells.
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
