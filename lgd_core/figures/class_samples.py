"""One class's images, methods by increments, with the score S under each (Figs. 7, 11 to 14)."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lgd_core.data.distilled import read_class
from lgd_core.figures.layout import SMALL, groups
from lgd_core.figures.making import FigureJob

CELL = 0.55
LABEL_ROOM = 1.1


def make(job: FigureJob) -> Figure:
    """Draw one class's images, methods by increments, with the score S under each."""
    name, rows, images = job.settings["class_name"], [], []
    for folder in job.inputs["sets"]:
        method, seed = Path(folder).parts[-4:-2]
        listed, pixels = read_class(folder, name, job.settings["per_cell"])
        rows += [{"method": method, "seed": int(seed[1:])} | row for row in listed]
        images.append(pixels)
    return class_figure(job.write(pd.DataFrame(rows)), torch.cat(images), name)


def class_figure(table: pd.DataFrame, images: Tensor, title: str) -> Figure:
    """Draw a class's images: one row per method and seed, increments across, S under each image.

    ``table`` has ``method``, ``seed``, ``increment`` and ``score`` (or NaN) of the uint8 ``images``
    (N, C, H, W).
    """
    rows = groups(table, ["method", "seed"])
    widest = max(len(own) for _, own in rows)
    gaps = max(own["increment"].nunique() for _, own in rows) - 1
    figure, axes = plt.subplots(
        len(rows),
        1,
        figsize=(CELL * (widest + 0.3 * gaps) + LABEL_ROOM, 1.32 * CELL * len(rows) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    seeds = table.loc[:, "seed"].nunique()
    above: dict[int, float] = {}
    for axis, ((method, seed), own) in zip(axes[:, 0], rows, strict=True):
        centres = _class_row(axis, own, images)
        axis.set_xlim(0, widest + 0.3 * gaps)
        label = method if seeds == 1 else f"{method}\nseed {seed}"
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        # Rows with the same places of increments as the row above have no labels of their own.
        named = {} if centres == above else centres
        axis.set_xticks(list(named.values()), [f"increment {k}" for k in named], fontsize=SMALL)
        above = centres
    figure.suptitle(title, fontsize=10)
    return figure


def _class_row(axis: Axes, table: pd.DataFrame, images: Tensor) -> dict[int, float]:
    """Draw a row of images of side 1, with gaps of 0.3; return the centres of the increments."""
    marks: dict[int, list[float]] = {}
    for place, (index, row) in enumerate(zip(table.index, table.to_dict("records"), strict=True)):
        left = place + 0.3 * len(marks.keys() - {row["increment"]})
        marks.setdefault(row["increment"], []).append(left + 0.5)
        pixels = images[index].permute(1, 2, 0).squeeze(2).numpy()
        axis.imshow(
            pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(left + 0.03, left + 0.97, 0, 0.94),
            interpolation="nearest",
        )
        if row["score"] == row["score"]:
            axis.text(left + 0.5, -0.05, f"{row['score']:.2f}", ha="center", va="top", fontsize=6.5)
    axis.set(ylim=(-0.3, 1), aspect="equal", yticks=[])
    axis.xaxis.tick_top()
    axis.tick_params(length=0, pad=0)
    axis.spines[:].set_visible(False)
    return {k: sum(centres) / len(centres) for k, centres in marks.items()}
