"""Figures of increments: complementarity, training dynamics, what guidance does along the steps."""

from collections.abc import Mapping
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

mpl.use("Agg")

import matplotlib.pyplot as plt

from lgd_core.analysis.traces import CHANGE, GUIDED, PATHS, UNGUIDED
from lgd_core.figures.layout import (
    SMALL,
    dodge,
    legend_below,
    note,
    over_seeds,
    panels,
    whole_ticks,
)

QUANTITIES = {
    "score": "score S",
    "learner_loss": "learner's loss",
    "reference_loss": "reference's loss",
    "similarity": "cosine to nearest\nlatent in memory",
}
DASHES = {GUIDED: "-", UNGUIDED: "--"}


def complementarity_figure(table: pd.DataFrame, look: Mapping[str, dict]) -> Figure:
    """Draw the share of every later increment that a network trained on the first gets wrong.

    ``table`` as from analyses.complementarity_table; ``look`` as from palette.looks.
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
            **look[method],
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


def dynamics_figure(table: pd.DataFrame, look: Mapping[str, dict]) -> Figure:
    """Draw the learner's loss per epoch, and the spike, accuracy and gain of every increment.

    ``table`` as from analyses.dynamics_table. Losses and the spikes written at them are those of
    the first seed; the panels below are means over seeds, each with one set and one learner, with
    one standard deviation.
    """
    methods = list(table["method"].unique())
    rows = -(-len(methods) // 4)
    figure = plt.figure(figsize=(12, 2.4 * rows + 3.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2.4 * rows, 3.6])
    _, axes = panels(len(methods), 4, 3, 2.4, above)
    highest = table["loss"].max()
    for axis, method in zip(axes, methods, strict=True):
        _loss_panel(axis, table[table["method"] == method], look[method]["color"])
        axis.set(title=method, ylim=(0, 1.2 * highest))
    _, (spikes, accuracy, gains) = panels(3, 3, 4, 3.6, below)
    for index, method in enumerate(methods):
        own = table[table["method"] == method]
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
    first = table[table["seed"] == table["seed"].iloc[0]]
    axis.plot(first["total_epoch"], first["loss"], lw=0.8, color=colour)
    for _, start in first[(first["epoch"] == 0) & (first["increment"] > 0)].iterrows():
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
    look: dict,
    suffix: str,
) -> None:
    """Draw one method's column over increments; its legend carries the mean over them."""
    spread = over_seeds(table, "increment", column)
    label = f"{table['method'].iloc[0]} {suffix.format(spread['mean'].mean())}".strip()
    at = spread.index.to_numpy(float) + dodge(index, count, 0.2)
    axis.errorbar(at, spread["mean"], spread["std"], capsize=3, ms=5, lw=1.2, label=label, **look)


def guidance_figure(table: pd.DataFrame, look: Mapping[str, dict]) -> Figure:
    """Draw along the sampling steps what networks make of the image on its way, and the changes.

    ``table`` as from traces.trace_frame, with ``method``, ``seed`` and ``increment``: a column per
    method, a row per quantity. Increments from light to dark; guided solid, unguided from the same
    noise dashed; bands are one standard error of the mean, over images of one set or over several
    sets. The last row shows the changes where they act, means over increments.
    """
    if table.empty:
        return note("no increment was guided")
    methods = list(table["method"].unique())
    rows = [*QUANTITIES, CHANGE]
    figure, axes = plt.subplots(
        len(rows),
        len(methods),
        figsize=(3.6 * len(methods) + 1.2, 1.9 * len(rows)),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    dashes = change_dashes(table)
    for column, method in zip(axes.T, methods, strict=True):
        own = table[table["method"] == method]
        for axis, quantity in zip(column, QUANTITIES, strict=False):
            _quantity_panel(axis, own[own["quantity"] == quantity])
        _changes_panel(column[-1], own, dashes)
        column[0].set_title(method, color=look[method]["color"])
        column[-1].set_xlabel("steps left")
        column[-1].invert_xaxis()
    for axis, label in zip(axes[:, 0], [*QUANTITIES.values(), "|change| / |noise|"], strict=True):
        axis.set_ylabel(label)
    names = [
        Line2D([], [], color="k", ls=dash, label=name.removeprefix(CHANGE))
        for name, dash in dashes.items()
    ]
    axes[-1, 0].legend(handles=names, fontsize=SMALL)
    colours = shades(sorted(table["increment"].unique())).items()
    handles = [Line2D([], [], color=colour, label=f"increment {k}") for k, colour in colours]
    handles += [Line2D([], [], color="k", ls=DASHES[path], label=path) for path in PATHS]
    legend_below(figure, handles, 3 * len(methods))
    return figure


def shades(increments: list[int]) -> dict[int, tuple]:
    """Return a colour per increment, from light to dark."""
    places = np.linspace(0.25, 1.0, len(increments))
    return dict(zip(increments, mpl.colormaps["viridis_r"](places), strict=True))


def _quantity_panel(axis: Axes, table: pd.DataFrame) -> None:
    colours = shades(sorted(table["increment"].unique()))
    for (increment, path), rows in table.groupby(["increment", "path"]):
        drawn = _with_error(rows)
        axis.plot(drawn["mean"], DASHES[path], color=colours[increment], lw=1.2)
        axis.fill_between(
            drawn.index,
            drawn["mean"] - drawn["error"],
            drawn["mean"] + drawn["error"],
            color=colours[increment],
            alpha=0.12,
            lw=0,
        )


def _changes_panel(axis: Axes, table: pd.DataFrame, dashes: dict[str, object]) -> None:
    """Draw the ratio of change to noise, means over increments, a line per guidance."""
    for quantity, dash in dashes.items():
        acting = table[(table["quantity"] == quantity) & (table["mean"] > 0)]
        axis.plot(acting.groupby("step")["mean"].mean(), ls=dash, color="k", lw=1.2)


def change_dashes(table: pd.DataFrame) -> dict[str, object]:
    """Return a line style per guidance that acts anywhere, the same in every panel."""
    names = sorted(name for name in table["quantity"].unique() if name.startswith(CHANGE))
    return dict(zip(names, cycle(("-", "--", ":", "-.")), strict=False))


def _with_error(rows: pd.DataFrame) -> pd.DataFrame:
    """Return per step the mean and its standard error: over images, or over the sets of seeds.

    Images of one set share its learner and memory: with several seeds the set is the unit.
    """
    if rows["seed"].nunique() == 1:
        own = rows.set_index("step").sort_index()
        return pd.DataFrame({"mean": own["mean"], "error": own["std"] / np.sqrt(own["n"])})
    sets = rows.groupby("step")["mean"]
    return pd.DataFrame({"mean": sets.mean(), "error": sets.std() / np.sqrt(sets.count())})
