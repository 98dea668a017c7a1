"""All measurements of a set of images from elsewhere, one panel each."""

from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lgd_core.analysis import diagnosis
from lgd_core.analysis.difficulty import ZONES
from lgd_core.analysis.neighbours import distinct_pairs
from lgd_core.base.csv_files import read_csv
from lgd_core.base.files import read_json
from lgd_core.data.real_images import load_set
from lgd_core.figures.making import FigureJob

# Okabe and Ito's colours, distinguishable for colour-blind people.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PAIRS = 4


def make(job: FigureJob) -> Figure:
    """Draw all measurements of a folder of images from elsewhere."""
    inputs, facts = job.inputs, read_json(job.inputs["facts"])
    files = read_csv(inputs["table"], read_json(inputs["record"]))
    difficulty = read_csv(inputs["difficulty"], read_json(inputs["measured"]))
    neighbours, duplicates = (
        read_csv(inputs[name], facts) for name in ("neighbours", "duplicates")
    )
    cross = read_json(inputs["matrix"])
    table = diagnosis.diagnosis_table(
        diagnosis.set_rows(files)
        + diagnosis.accuracy_rows(_by_student(job.artifacts("runs")))
        + diagnosis.redundancy_rows(cross["matrix"])
        + diagnosis.complementarity_rows(cross["matrix"], cross["sizes"])
        + diagnosis.difficulty_rows(difficulty)
        + diagnosis.neighbour_rows(neighbours, facts["threshold"])
    )
    job.write(table)
    pairs = _pairs(load_set(Path(inputs["images"]).parent)[0], files, duplicates)
    name = f"{job.wildcards['external']}, evaluated as {job.settings['dataset']}"
    parts = (table, difficulty, neighbours, pairs)
    return diagnosis_figure(name, *parts, job.settings["zones"], job.settings["colormap"])


def _by_student(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return runs by student, and by protocol too where there are several."""
    students: dict[str, list[dict[str, Any]]] = {}
    several = len({run["protocol"] for run in runs}) > 1
    for run in runs:
        name = f"{run['student']}, {run['protocol']}" if several else run["student"]
        students.setdefault(name, []).append(run)
    return students


def _pairs(images: Tensor, files: pd.DataFrame, duplicates: pd.DataFrame) -> Tensor:
    """Return the most similar pairs (P, 2, C, H, W); ``files`` has the images' names in order."""
    shown = distinct_pairs(duplicates).head(PAIRS)
    row_of = pd.Series(files.index, files["file"])
    rows = cast("pd.Series", row_of[shown[["file", "within_file"]].to_numpy().flatten()])
    return images[torch.tensor(rows.to_numpy())].unflatten(0, (len(shown), 2))


def diagnosis_figure(
    name: str,
    table: pd.DataFrame,
    difficulty: pd.DataFrame,
    neighbours: pd.DataFrame,
    pairs: Tensor,
    zones: dict[str, float],
    colormap: str,
) -> Figure:
    """Draw redundancy, complementarity, accuracy, difficulty, neighbours and near-duplicates.

    ``table`` as from diagnosis.diagnosis_table; ``difficulty`` and ``neighbours`` have one row per
    image; ``pairs`` are uint8 images (P, 2, C, H, W), an image and its near-duplicate; ``zones``
    are the limits given to difficulty.difficulty_frame.
    """
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.6), layout="constrained")
    _redundancy(axes[0, 0], table.loc[table["section"] == "redundancy"], colormap)
    _complementarity(axes[0, 1], table.loc[table["section"] == "complementarity"])
    _accuracy(axes[0, 2], table.loc[table["section"] == "accuracy"])
    _difficulty(axes[1, 0], difficulty, table.loc[table["section"] == "difficulty"], **zones)
    _neighbours(axes[1, 1], neighbours, table)
    _duplicates(axes[1, 2], pairs, table.loc[table["section"] == "duplicates"])
    figure.suptitle(name)
    return figure


def _redundancy(axis: Axes, rows: pd.DataFrame, colormap: str) -> None:
    cells = rows[rows["metric"] == "top1"]
    matrix = cells.pivot(index="increment", columns="tested_on", values="value").to_numpy()
    low = matrix.min()
    image = axis.imshow(matrix, vmin=low, vmax=100, cmap=colormap)
    for (i, j), value in np.ndenumerate(matrix):
        colour = "w" if value < (low + 100) / 2 else "k"
        axis.text(j, i, f"{value:.0f}", ha="center", va="center", color=colour, size=8)
    mean = rows.loc[rows["metric"] == "mean_off_diagonal", "value"]
    title = f"mean off-diagonal {mean.iloc[0]:.1f} %" if len(mean) else "one increment"
    ticks = range(len(matrix))
    axis.set(title=f"Redundancy: {title}", xticks=ticks, yticks=ticks)
    axis.set(xlabel="tested on increment", ylabel="trained on increment")
    axis.figure.colorbar(image, ax=axis, label="top-1 (%)", shrink=0.8)


def _complementarity(axis: Axes, rows: pd.DataFrame) -> None:
    increments = rows["tested_on"].astype(int)
    axis.bar(increments, rows["value"], 0.6, yerr=rows["std"], capsize=3, color=BLUE)
    axis.set(title="Complementarity: errors after increment 0", ylim=(0, 105))
    axis.set(xlabel="increment (bars: binomial standard error)", ylabel="images wrong (%)")
    axis.set(xticks=increments, xlim=(0.2, increments.max() + 0.8 if len(rows) else 1))
    if rows.empty:
        _say(axis, "one increment")


def _accuracy(axis: Axes, rows: pd.DataFrame) -> None:
    rows = rows.loc[rows["metric"] == "top1"]
    axis.errorbar(range(len(rows)), rows["value"], rows["std"].fillna(0), fmt="o", capsize=4,
                  color=BLUE)  # fmt: skip
    for x, (value, std) in enumerate(zip(rows["value"], rows["std"], strict=True)):
        spread = "" if std != std else f" ± {std:.1f}"
        axis.annotate(f"{value:.1f}{spread}", (x, value), (8, 0), textcoords="offset points",
                      va="center")  # fmt: skip
    n = rows["n"].max()
    axis.set(title=f"Test accuracy, n = {n} students of the set", ylabel="top-1 (%)", ylim=(0, 100))
    axis.set(xlim=(-0.5, len(rows) - 0.2), xticks=range(len(rows)))
    axis.set_xticklabels(rows["subject"])


def _difficulty(
    axis: Axes,
    samples: pd.DataFrame,
    rows: pd.DataFrame,
    easy_mean: float,
    informative_variance: float,
) -> None:
    shares = rows.set_index("subject")["value"]
    for zone, colour, marker in zip(ZONES, (GREEN, ORANGE, RED), "o^s", strict=True):
        own = samples.loc[samples["zone"] == zone]
        label = f"{zone}, {shares[zone]:.0f} %"
        axis.scatter("mu", "sigma2", 12, colour, data=own, marker=marker, alpha=0.6, label=label)
    axis.axhline(informative_variance, color="0.5", lw=0.8, ls=":")
    axis.vlines(easy_mean, 0, informative_variance, color="0.5", lw=0.8, ls=":")
    axis.set(title=f"Difficulty of {len(samples)} images", xlim=(-0.02, 1.02), ylim=(-0.005, 0.26))
    axis.set(xlabel="mean probability of the true class, μ", ylabel="variance over epochs, σ²")
    axis.legend(loc="upper right", fontsize=8)


def _neighbours(axis: Axes, neighbours: pd.DataFrame, table: pd.DataFrame) -> None:
    lines = {
        "reference_similarity": ("real, reference features", BLUE, "-"),
        "pixels_similarity": ("real, pixels", ORANGE, "--"),
        "within_similarity": ("in the set, pixels", GREEN, "-."),
    }
    for column, (label, colour, style) in lines.items():
        values = np.sort(neighbours[column])
        shares = 100 * np.arange(1, len(values) + 1) / len(values)
        axis.step(values, shares, where="post", color=colour, ls=style, label=label)
    threshold = table.loc[table["metric"] == "threshold", "value"].iloc[0]
    axis.axvline(threshold, color="0.5", lw=0.8, ls=":", label="near-duplicate (pixels)")
    axis.set(title="Nearest image", xlabel="similarity to it", ylabel="images at most as near (%)")
    axis.legend(loc="upper left", fontsize=8)


def _duplicates(axis: Axes, pairs: Tensor, rows: pd.DataFrame) -> None:
    share = rows.set_index("metric")["value"]
    axis.set_title(f"Near-duplicates in the set: {share['images_with_one']:.1f} % of images")
    axis.axis("off")
    if not len(pairs):
        _say(axis, f"none of correlation {share['threshold']:.3f} or more")
        return
    shown = pairs[:PAIRS]
    _, _, channels, height, width = shown.shape
    gap = max(1, width // 8)
    canvas = np.full((len(shown) * (height + gap) - gap, 2 * width + gap, channels), 255, np.uint8)
    for row, pair in enumerate(shown):
        for column, image in enumerate(pair):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = image.permute(1, 2, 0).numpy()
    axis.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _say(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes, color="0.4")
