"""The accuracies of a family of methods, which differ in one key, and their redundancy."""

from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.ablations import ablation_table, learner_runs
from lgd_core.analysis.tables import by_protocol, read_paper, spread_over
from lgd_core.config.models.sweep import ResolvedSweep
from lgd_core.figures.layout import SMALL, groups
from lgd_core.figures.making import FigureJob
from lgd_core.figures.styles import bar_style, line_style

COLUMNS = 3


def make(job: FigureJob) -> Figure:
    """Draw the accuracies of a family of methods, and the paper's if it has them."""
    family = ResolvedSweep.model_validate(job.settings["family"])
    table = ablation_table(
        job.wildcards["dataset"],
        family,
        job.settings["sizes"],
        by_protocol(job.artifacts("runs"))
        | {"incremental": list(map(learner_runs, job.artifacts("learners")))},
        job.artifacts("matrices"),
        read_paper(job.inputs.get("paper", [])),
    )
    job.write(table)
    return ablation_figure(table, family.title, family.key or "method")


def ablation_figure(table: pd.DataFrame, title: str, label: str) -> Figure:
    """Draw a family's accuracies, one panel per student and protocol, and their redundancy.

    ``table`` as from ablations.ablation_table. Numeric values are drawn as lines over the value,
    one line per number of images per class; other values as groups of bars.
    """
    panels = groups(table, ["student", "protocol"])
    redundancy = table.dropna(subset="redundancy").drop_duplicates(["ipc", "method"])
    count = len(panels) + (not redundancy.empty)
    rows, columns = -(-count // COLUMNS), min(count, COLUMNS)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 3.8 * rows), squeeze=False, layout="constrained"
    )
    named = table["value"].dropna()
    numbers = cast("pd.Series", pd.to_numeric(named, errors="coerce"))
    draw = lines if numbers.notna().all() else bars
    for axis, ((student, protocol), rows_of) in zip(axes.flat, panels, strict=False):
        draw(axis, rows_of, "top1_mean", "top1_std", "paper_top1")
        axis.set(title=f"{student}, {protocol}", xlabel=label, ylabel="test top-1 (%)")
    if not redundancy.empty:
        axis = axes.flat[count - 1]
        draw(axis, redundancy, "redundancy", "redundancy_std")
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
    """Draw a column over the value, one line per number of images per class, with error bars."""
    for index, (ipc, rows) in enumerate(table.groupby("ipc", sort=False)):
        look = line_style(index)
        swept = rows.loc[rows["value"].notna()]
        at = cast("pd.Series", pd.to_numeric(swept["value"]))
        spread = swept[std].fillna(0) if std else None
        axis.errorbar(at, swept[mean], spread, capsize=3, label=f"IPC {ipc}", **look)
        for height in rows.loc[rows["value"].isna(), mean]:
            axis.axhline(height, color=look["color"], ls="--", lw=1)
        if paper:
            _paper(axis, at, swept[paper], look["color"])


def bars(
    axis: Axes, table: pd.DataFrame, mean: str, std: str | None = None, paper: str | None = None
) -> None:
    """Draw a column as bars: one group per value, one bar per number of images per class."""
    places = list(dict.fromkeys(table["method"]))
    names = table.drop_duplicates("method").set_index("method")["value"].to_dict()
    amounts = list(dict.fromkeys(table["ipc"]))
    width = 0.8 / len(amounts)
    for index, ipc in enumerate(amounts):
        rows = table.loc[table["ipc"] == ipc]
        at = np.array([places.index(method) for method in rows["method"]])
        at = at + (index - (len(amounts) - 1) / 2) * width
        spread = rows[std].fillna(0) if std else None
        look = {"ec": "w", "capsize": 3, "label": f"IPC {ipc}"} | bar_style(index)
        drawn = axis.bar(at, rows[mean], width, yerr=spread, **look)
        axis.bar_label(drawn, fmt="%.1f", fontsize=6, padding=1, rotation=90 if width < 0.3 else 0)
        if paper:
            _paper(axis, at, rows[paper], "k")
    labels = [method if pd.isna(names[method]) else str(names[method]) for method in places]
    axis.set_xticks(range(len(places)), labels, rotation=20, ha="right", fontsize=8)
    axis.margins(y=0.15)


def _paper(axis: Axes, at: object, numbers: pd.Series, colour: str) -> None:
    known = numbers.notna().to_numpy()
    if known.any():
        axis.plot(
            np.asarray(at)[known], numbers[known], ls="", marker="D", mfc="none", mec=colour, ms=5
        )
