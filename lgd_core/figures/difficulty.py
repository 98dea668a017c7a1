"""Difficulty of distilled and real images, and divergences from the real set (Fig. 5)."""

from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgd_core.analysis.difficulty import LARGEST_VARIANCE, ZONES, divergence_table
from lgd_core.analysis.measured import measured_images
from lgd_core.figures.layout import SMALL, panels
from lgd_core.figures.making import FigureJob
from lgd_core.figures.styles import REAL


def make(job: FigureJob) -> Figure:
    """Draw the difficulty of distilled and real images, and the divergences from the real set."""
    settings, methods = job.settings, job.settings["compared"]["methods"]
    paths = [*job.inputs["samples"], *job.inputs["real"]]
    found = measured_images(paths, settings["classes"], settings["zones"], REAL)
    images = found.drop(columns=["confidence", "misclassified"])
    summary = divergence_table(images, REAL, methods, settings["bins"], settings["bootstraps"])
    summary = job.write(summary.assign(**settings["zones"]), "summary")
    return difficulty_figure(job.write(images), summary, job.looks)


def difficulty_figure(
    samples: pd.DataFrame, summary: pd.DataFrame, look: Mapping[str, dict[str, Any]]
) -> Figure:
    """Draw every image's (mu, sigma2), one panel per set, and the divergences from the real set.

    ``samples`` as from difficulty.difficulty_frame, with ``method``. ``summary`` as from
    difficulty.divergence_table, with ``easy_mean`` and ``informative_variance``, the limits of the
    zones. Shares and divergences are those of ``summary``.
    """
    names = list(summary["method"])
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    width = max(2.5 * columns, 9.0)
    figure = plt.figure(figsize=(width, 2.7 * rows + 3.0), layout="constrained")
    heights = [2.7 * rows, 3.0]
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    _, axes = panels(len(names), columns, width / columns, 2.7, above)
    for axis, row in zip(axes, summary.to_dict("records"), strict=True):
        own = samples[samples["method"] == row["method"]]
        axis.scatter(own["mu"], own["sigma2"], s=7, alpha=0.4, lw=0, **look[row["method"]])
        axis.set(
            title=f"{row['method']} (n = {row['n']}, {row['images']} images)" + _shares(row),
            xlabel="mean probability μ",
            xlim=(-0.02, 1.02),
            ylim=(-0.005, LARGEST_VARIANCE + 0.005),
        )
        axis.title.set_fontsize(SMALL - 0.5)
        _zone_lines(axis, row["easy_mean"], row["informative_variance"])
    for axis in axes[::columns]:
        axis.set_ylabel("variance σ²")
    _, (shares, js, kl) = panels(3, 3, width / 3, 3.0, below)
    _zones_panel(shares, summary)
    compared = summary.dropna(subset="js")
    _divergence_panel(js, compared, "js", look)
    js.set(xlabel="Jensen-Shannon (base 2)", title="Divergence from real")
    _divergence_panel(kl, compared, "kl", look)
    kl.set(xlabel="symmetrised KL (bits)", title="Divergence from real")
    return figure


def _shares(row: Mapping[Hashable, Any]) -> str:
    return "\n" + ", ".join(f"{zone} {row[zone]:.0f}" for zone in ZONES) + " %"


def _zone_lines(axis: Axes, easy_mean: float, informative_variance: float) -> None:
    """Draw the limits of the zones, and the largest possible variance for a mean, mu (1 - mu)."""
    mu = np.linspace(0, 1, 101)
    axis.plot(mu, mu * (1 - mu), color="0.7", lw=0.8, ls=":", zorder=0)
    axis.axhline(informative_variance, color="0.7", lw=0.8, zorder=0)
    axis.plot([easy_mean, easy_mean], [0, informative_variance], color="0.7", lw=0.8, zorder=0)


def _zones_panel(axis: Axes, summary: pd.DataFrame) -> None:
    left = np.zeros(len(summary))
    for zone, grey, hatch in zip(ZONES, ("0.9", "0.6", "0.25"), ("", "//", ""), strict=True):
        shares = summary[zone].to_numpy()
        axis.barh(summary["method"], shares, left=left, color=grey, ec="w", hatch=hatch, label=zone)
        left += shares
    axis.set(xlabel="share of images (%)", xlim=(0, 100), title="Zones")
    axis.invert_yaxis()
    axis.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3)


def _divergence_panel(
    axis: Axes, summary: pd.DataFrame, name: str, look: Mapping[str, dict[str, Any]]
) -> None:
    """Draw estimates with intervals, and a grey tick at the value for a sample of the real set."""
    for place, row in enumerate(summary.to_dict("records")):
        interval = [[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]]
        axis.errorbar(row[name], place, xerr=interval, capsize=3, **look[row["method"]])
        axis.plot(row[f"{name}_floor"], place, marker="|", ms=14, mew=2, color="0.6", zorder=0)
    axis.set_yticks(range(len(summary)), summary["method"])
    axis.set(xlim=(0, None), ylim=(len(summary) - 0.5, -0.5))
