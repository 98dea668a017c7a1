"""The learner's loss across increments, its spikes, and the gain of each increment (Fig. 4)."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.analyses import dynamics_table
from lgd_core.figures.layout import SMALL, dodge, legend_below, over_seeds, panels, whole_ticks
from lgd_core.figures.making import FigureJob


def make(job: FigureJob) -> Figure:
    """Draw the loss across increments, its spikes, and the gain of each increment."""
    table = job.write(dynamics_table(job.learners()))
    return dynamics_figure(table, job.looks)


def dynamics_figure(table: pd.DataFrame, look: Mapping[str, dict[str, Any]]) -> Figure:
    """Draw the learner's loss per epoch, and the spike, accuracy and gain of every increment.

    ``table`` as from analyses.dynamics_table. The upper panels have the losses and spikes of the
    first seed. The lower panels have means over seeds, each with one set and one learner, and one
    standard deviation.
    """
    methods = list(table["method"].unique())
    rows = -(-len(methods) // 4)
    figure = plt.figure(figsize=(12, 2.4 * rows + 3.6), layout="constrained")
    heights = [2.4 * rows, 3.6]
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    _, axes = panels(len(methods), 4, 3, 2.4, above)
    highest = table["loss"].max()
    for axis, method in zip(axes, methods, strict=True):
        _loss_panel(axis, table.loc[table["method"] == method], look[method]["color"])
        axis.set(title=method, ylim=(0, 1.2 * highest))
    _, (spikes, accuracy, gains) = panels(3, 3, 4, 3.6, below)
    for index, method in enumerate(methods):
        own = table.loc[table["method"] == method]
        _increment_series(
            spikes, own, "spike", index, len(methods), look[method], "(mean spike {:+.2f})"
        )
        _increment_series(accuracy, own, "top1", index, len(methods), look[method], "")
        _increment_series(gains, own, "top1_gain", index, len(methods), look[method], "")
    spikes.set(title="Spike of the loss", ylabel="loss after - before")
    spikes.axhline(0, color="0.6", lw=0.8)
    seeds = table["seed"].nunique()
    accuracy.set(
        title=f"Learner's accuracy (n = {seeds} set{'s' * (seeds > 1)})", ylabel="test top-1 (%)"
    )
    gains.set(title="Gain of the increment", ylabel="test top-1, points")
    gains.axhline(0, color="0.6", lw=0.8)
    for axis in (spikes, accuracy, gains):
        axis.set_xlabel("increment")
        whole_ticks(axis)
    legend_below(below, spikes.get_legend_handles_labels()[0], 4)
    return figure


def _loss_panel(axis: Axes, table: pd.DataFrame, colour: str) -> None:
    first = table.loc[table["seed"] == table["seed"].iloc[0]]
    axis.plot(first["total_epoch"], first["loss"], lw=0.8, color=colour)
    starts = first.loc[(first["epoch"] == 0) & (first["increment"] > 0)]
    for start in starts.to_dict("records"):
        axis.axvline(start["total_epoch"], color="0.7", lw=0.6, ls=":", zorder=0)
        axis.annotate(
            f"{start['spike']:+.2f}",
            (start["total_epoch"], 0.97),
            (2, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            rotation=90,
            fontsize=SMALL,
        )
    axis.set(xlabel="epoch, all increments", ylabel="training loss")


def _increment_series(
    axis: Axes,
    table: pd.DataFrame,
    column: str,
    index: int,
    count: int,
    look: dict[str, Any],
    suffix: str,
) -> None:
    """Draw one method's column over increments; ``suffix`` puts their mean into the legend."""
    spread = over_seeds(table, "increment", column)
    label = f"{table['method'].iloc[0]} {suffix.format(spread['mean'].mean())}".strip()
    at = spread.index.to_numpy(float) + dodge(index, count, 0.2)
    axis.errorbar(at, spread["mean"], spread["std"], capsize=3, ms=5, lw=1.2, label=label, **look)
