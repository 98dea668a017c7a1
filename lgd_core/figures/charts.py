"""Charts of ablations and of cost, for print and for colour-blind eyes."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.network_evaluations import NETWORKS
from lgd_core.analysis.tables import spread_over
from lgd_core.figures.layout import SMALL, dodge
from lgd_core.figures.styles import COLOURS, MARKERS

mpl.use("Agg")

import matplotlib.pyplot as plt

# One of each per colour.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
COLUMNS = 3


def style(index: int) -> dict:
    """Return colour, marker and dash of the series with an index."""
    series = index % len(COLOURS)
    return {"color": COLOURS[series], "marker": MARKERS[series], "ls": DASHES[series]}


def fill(index: int) -> dict:
    """Return colour and hatch of the bars with an index; a second round has other hatches."""
    hatch = (index + index // len(COLOURS)) % len(HATCHES)
    return {"color": COLOURS[index % len(COLOURS)], "hatch": HATCHES[hatch]}


def ablation_figure(table: pd.DataFrame, title: str, label: str) -> Figure:
    """Draw a family's accuracies, one panel per student and protocol, and their redundancy.

    ``table`` as from ablations.ablation_table. Numbers become lines over the value, one for each
    amount of images per class; anything else becomes groups of bars.
    """
    panels = list(table.groupby(["student", "protocol"], sort=False))
    redundancy = table.dropna(subset="redundancy").drop_duplicates(["ipc", "method"])
    count = len(panels) + (not redundancy.empty)
    rows, columns = -(-count // COLUMNS), min(count, COLUMNS)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 3.8 * rows), squeeze=False, layout="constrained"
    )
    named = table["value"].dropna()
    draw = lines if pd.to_numeric(named, errors="coerce").notna().all() else bars
    for axis, ((student, protocol), rows_of) in zip(axes.flat, panels, strict=False):
        draw(axis, rows_of, "top1_mean", "top1_std", "paper_top1")
        axis.set(title=f"{student}, {protocol}", xlabel=label, ylabel="test top-1 (%)")
    if not redundancy.empty:
        axis = axes.flat[count - 1]
        draw(axis, redundancy, "redundancy")
        axis.set(title="redundancy", xlabel=label, ylabel="mean off-diagonal top-1 (%)")
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.suptitle(title)
    figure.supxlabel(f"error bars: one standard deviation {spread_over(table)}", fontsize=SMALL)
    return figure


def lines(
    axis: Axes, table: pd.DataFrame, mean: str, std: str | None = None, paper: str | None = None
) -> None:
    """Draw a column over the value, a line per amount of images per class, with error bars."""
    for index, (ipc, rows) in enumerate(table.groupby("ipc", sort=False)):
        look = style(index)
        swept = rows[rows["value"].notna()]
        at = pd.to_numeric(swept["value"])
        spread = swept[std].fillna(0) if std else None
        axis.errorbar(at, swept[mean], spread, capsize=3, label=f"IPC {ipc}", **look)
        for height in rows.loc[rows["value"].isna(), mean]:
            axis.axhline(height, color=look["color"], ls="--", lw=1)
        if paper:
            _paper(axis, at, swept[paper], look["color"])


def bars(
    axis: Axes, table: pd.DataFrame, mean: str, std: str | None = None, paper: str | None = None
) -> None:
    """Draw a column in groups of bars, a group per value, a bar per amount of images per class."""
    places = list(dict.fromkeys(table["method"]))
    names = table.drop_duplicates("method").set_index("method")["value"].to_dict()
    amounts = list(dict.fromkeys(table["ipc"]))
    width = 0.8 / len(amounts)
    for index, ipc in enumerate(amounts):
        rows = table[table["ipc"] == ipc]
        at = np.array([places.index(method) for method in rows["method"]])
        at = at + (index - (len(amounts) - 1) / 2) * width
        spread = rows[std].fillna(0) if std else None
        look = {"ec": "w", "capsize": 3, "label": f"IPC {ipc}"} | fill(index)
        drawn = axis.bar(at, rows[mean], width, yerr=spread, **look)
        axis.bar_label(drawn, fmt="%.1f", fontsize=6, padding=1, rotation=90 if width < 0.3 else 0)
        if paper:
            _paper(axis, at, rows[paper], "k")
    labels = [method if pd.isna(names[method]) else str(names[method]) for method in places]
    axis.set_xticks(range(len(places)), labels, rotation=20, ha="right", fontsize=8)
    axis.margins(y=0.15)


def cost_figure(table: pd.DataFrame) -> Figure:
    """Draw seconds by method and stage, and passes per image by method and network.

    ``table`` as from costs.cost_table. Passes are those of the last drawing stage of a method: its
    candidates where it has any, else its increment 0.
    """
    seconds = table.pivot_table("seconds", "method", "stage", "sum", sort=False)
    height = max(4.4, 1.4 + 0.25 * len(seconds))
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, height), layout="constrained")
    stacked(left, seconds)
    left.set(xlabel="seconds")
    networks = [column for column in table if column.endswith(("_forward", "_backward"))]
    drawn = table.dropna(subset=networks, how="all").drop_duplicates("method", keep="last")
    dots(right, drawn.set_index("method")[networks])
    right.set(xlabel="passes per image")
    return figure


def dots(axis: Axes, table: pd.DataFrame) -> None:
    """Draw passes as dots on a logarithmic axis, a line of them per row; backward ones are hollow.

    Networks that are not passed have no dots.
    """
    places = np.arange(len(table))
    for column in table:
        network, direction = str(column).rsplit("_", 1)
        used = (table[column].fillna(0) > 0).to_numpy()
        if not used.any():
            continue
        index = NETWORKS.index(network)
        look = style(index) | {"ls": "", "label": f"{network} {direction}"}
        # Often about as many as forward: a ring around that dot.
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
    """Draw a horizontal bar per row of a table, its columns one after the other."""
    names, start = [str(name) for name in table.index], np.zeros(len(table))
    for index, (column, values) in enumerate(table.fillna(0).items()):
        label = str(column).replace("_", " ")
        axis.barh(names, values, left=start, ec="w", label=label, **fill(index))
        start = start + values.to_numpy()
    axis.invert_yaxis()
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))


def _paper(axis: Axes, at: object, numbers: pd.Series, colour: str) -> None:
    known = numbers.notna().to_numpy()
    if known.any():
        axis.plot(
            np.asarray(at)[known], numbers[known], ls="", marker="D", mfc="none", mec=colour, ms=5
        )
