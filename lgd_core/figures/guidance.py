"""The effect of guidance along the sampling steps, compared with the same noise without it."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgd_core.analysis.trace_tables import CHANGE, GUIDED, PATHS, UNGUIDED, trace_table
from lgd_core.base.tensors import load_tensors
from lgd_core.figures.layout import SMALL, groups, legend_below, note
from lgd_core.figures.making import FigureJob

QUANTITIES = {
    "score": "score S",
    "learner_loss": "learner's loss",
    "reference_loss": "reference's loss",
    "similarity": "cosine to nearest\nlatent in memory",
}
DASHES = {GUIDED: "-", UNGUIDED: "--"}


def make(job: FigureJob) -> Figure:
    """Draw the effect of guidance along the sampling steps, and the same noise without it."""
    table = job.write(trace_table(map(load_tensors, job.inputs["traces"])))
    return guidance_figure(table, job.looks)


def guidance_figure(table: pd.DataFrame, look: Mapping[str, dict[str, Any]]) -> Figure:
    """Draw scores, losses, similarities and the sizes of changes along the sampling steps.

    ``table`` as from trace_tables.trace_table. There is one column per method and one row per
    quantity. Increments go from light to dark. Solid lines are guided, dashed ones unguided from
    the same noise. Bands are one standard error of the mean, over images of one set or over several
    sets. The last row shows the changes at the steps where guidance acts, as means over increments.
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
        own = table.loc[table["method"] == method]
        for axis, quantity in zip(column, QUANTITIES, strict=False):
            _quantity_panel(axis, own.loc[own["quantity"] == quantity])
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


def shades(increments: list[int]) -> dict[int, tuple[float, float, float, float]]:
    """Return a colour per increment, from light to dark."""
    places = np.linspace(0.25, 1.0, len(increments))
    return dict(zip(increments, mpl.colormaps["viridis_r"](places), strict=True))


def _quantity_panel(axis: Axes, table: pd.DataFrame) -> None:
    colours = shades(sorted(table["increment"].unique()))
    for (increment, path), rows in groups(table, ["increment", "path"], sort=True):
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
    """Draw the ratio of change to noise, averaged over increments, one line per guidance."""
    for quantity, dash in dashes.items():
        acting = table.loc[(table["quantity"] == quantity) & (table["mean"] > 0)]
        axis.plot(acting.groupby("step")["mean"].mean(), ls=dash, color="k", lw=1.2)


def change_dashes(table: pd.DataFrame) -> dict[str, object]:
    """Return a line style per guidance that acts anywhere, the same in every panel."""
    names = sorted(name for name in table["quantity"].unique() if name.startswith(CHANGE))
    return dict(zip(names, cycle(("-", "--", ":", "-.")), strict=False))


def _with_error(rows: pd.DataFrame) -> pd.DataFrame:
    """Return per step the mean and its standard error: over images or, with several seeds, sets.

    With several seeds the unit is the set, since images of one set share its learner and memory.
    """
    if rows.loc[:, "seed"].nunique() == 1:
        own = rows.set_index("step").sort_index()
        return pd.DataFrame({"mean": own["mean"], "error": own["std"] / np.sqrt(own["n"])})
    sets = rows.groupby("step")["mean"]
    return pd.DataFrame({"mean": sets.mean(), "error": sets.std() / np.sqrt(sets.count())})
