"""Costs of the methods of a comparison: seconds by stage, passes through networks per image."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.costs import cost_table, read_amounts
from lgd_core.analysis.network_evaluations import NETWORKS
from lgd_core.figures.layout import dodge
from lgd_core.figures.making import FigureJob
from lgd_core.figures.styles import bar_style, line_style


def make(job: FigureJob) -> Figure:
    """Draw the costs of the methods: seconds by stage, passes through networks per image."""
    known = read_amounts(job.inputs["prepared"], job.inputs.get("checkpoints"))
    dataset, ipc = job.wildcards["dataset"], int(job.wildcards["ipc"])
    table = cost_table(dataset, ipc, placed(job.settings["stages"], job.inputs), known)
    job.write(table)
    return cost_figure(table)


def placed(stages: list[dict[str, Any]], inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return stages with the paths of inputs, which are in the order of the stages' own."""
    left = {name: iter(inputs[name]) for name in ("benchmarks", "curves")}
    return [
        stage | {name: [next(left[name]) for _ in stage[name]] for name in left if name in stage}
        for stage in stages
    ]


def cost_figure(table: pd.DataFrame) -> Figure:
    """Draw seconds by method and stage, and passes per image by method and network.

    ``table`` as from costs.cost_table. Passes are those of a method's candidates or, if it has
    none, of its increment 0.
    """
    seconds = table.pivot_table("seconds", "method", "stage", "sum", sort=False)
    height = max(4.4, 1.4 + 0.25 * len(seconds))
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, height), layout="constrained")
    stacked(left, seconds)
    left.set(xlabel="seconds")
    networks = [column for column in table if column.endswith(("_forward", "_backward"))]
    drawn = table.dropna(subset=networks, how="all").drop_duplicates("method", keep="last")
    dots(right, drawn.set_index("method").loc[:, networks])
    right.set(xlabel="passes per image")
    return figure


def dots(axis: Axes, table: pd.DataFrame) -> None:
    """Draw passes as dots on a logarithmic axis, one line of dots per row of the table.

    Dots of backward passes are hollow. Networks without passes have no dots.
    """
    places = np.arange(len(table))
    for column in table:
        network, direction = str(column).rsplit("_", 1)
        used = (table[column].fillna(0) > 0).to_numpy()
        if not used.any():
            continue
        index = NETWORKS.index(network)
        look: dict[str, Any] = line_style(index) | {"ls": "", "label": f"{network} {direction}"}
        # The two are often about equal, so the backward pass is a ring around the forward dot.
        look |= {"mfc": "none", "ms": 10} if direction == "backward" else {"ms": 6}
        at = places + dodge(index, len(NETWORKS), 0.6)
        axis.plot(table[column][used], at[used], **look)
    for edge in places[1:] - 0.5:
        axis.axhline(edge, color="0.85", lw=0.8, zorder=0)
    axis.set_yticks(places, [str(name) for name in table.index])
    axis.set_ylim(-0.5, len(table) - 0.5)
    axis.set_xscale("log")
    axis.grid(axis="x", alpha=0.3)
    axis.invert_yaxis()
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def stacked(axis: Axes, table: pd.DataFrame) -> None:
    """Draw one horizontal bar per row of a table, with the columns stacked."""
    names, start = [str(name) for name in table.index], np.zeros(len(table))
    for index, (column, values) in enumerate(table.fillna(0).items()):
        label = str(column).replace("_", " ")
        axis.barh(names, values, left=start, ec="w", label=label, **bar_style(index))
        start = start + values.to_numpy()
    axis.invert_yaxis()
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
