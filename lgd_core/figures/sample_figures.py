"""Figures of single images: difficulty, what the reference makes of them, a class's images."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

mpl.use("Agg")

import matplotlib.pyplot as plt

from lgd_core.analysis.difficulty import LARGEST_VARIANCE, ZONES
from lgd_core.figures.layout import SMALL, panels

CELL = 0.55
LABEL_ROOM = 1.1


def difficulty_figure(
    samples: pd.DataFrame, summary: pd.DataFrame, look: Mapping[str, dict]
) -> Figure:
    """Draw every image's (mu, sigma2), a panel per set, and the sets' divergences from the real.

    ``samples`` as from difficulty.difficulty_frame with ``method``, ``summary`` as from
    difficulty.divergence_table, with ``easy_mean`` and ``informative_variance``, at which lines are
    drawn; shares and divergences are those of ``summary``.
    """
    names = list(summary["method"])
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    width = max(2.5 * columns, 9.0)
    figure = plt.figure(figsize=(width, 2.7 * rows + 3.0), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[2.7 * rows, 3.0])
    _, axes = panels(len(names), columns, width / columns, 2.7, above)
    for axis, (_, row) in zip(axes, summary.iterrows(), strict=True):
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


def _shares(row: pd.Series) -> str:
    return "\n" + ", ".join(f"{zone} {row[zone]:.0f}" for zone in ZONES) + " %"


def _zone_lines(axis: Axes, easy_mean: float, informative_variance: float) -> None:
    """Draw where the zones part, and the largest variance that a mean allows: mu (1 - mu)."""
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
    axis: Axes, summary: pd.DataFrame, name: str, look: Mapping[str, dict]
) -> None:
    """Draw estimates with intervals; a grey tick is what a sample of the real set would give."""
    for place, (_, row) in enumerate(summary.iterrows()):
        interval = [[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]]
        axis.errorbar(row[name], place, xerr=interval, capsize=3, **look[row["method"]])
        axis.plot(row[f"{name}_floor"], place, marker="|", ms=14, mew=2, color="0.6", zorder=0)
    axis.set_yticks(range(len(summary)), summary["method"])
    axis.set(xlim=(0, None), ylim=(len(summary) - 0.5, -0.5))


def in_distribution_figure(samples: pd.DataFrame, look: Mapping[str, dict]) -> Figure:
    """Draw the reference's confidence in every image's class against mu, a panel per set.

    ``samples`` as difficulty's, with ``confidence`` and ``misclassified`` (0 or 1). Crosses are
    images that the reference takes for another class.
    """
    names = list(samples["method"].unique())
    figure, axes = panels(len(names), 5, 2.7, 2.9)
    for axis, name in zip(axes, names, strict=True):
        own = samples[samples["method"] == name]
        wrong = own["misclassified"] == 1
        axis.scatter(
            own.loc[~wrong, "confidence"], own.loc[~wrong, "mu"], s=7, alpha=0.4, lw=0, **look[name]
        )
        axis.scatter(
            own.loc[wrong, "confidence"], own.loc[wrong, "mu"], s=16, lw=0.9, c="k", marker="x"
        )
        axis.set(
            title=f"{name}: {100 * wrong.mean():.1f} % misclassified\nof {len(own)} images",
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.03),
        )
        axis.title.set_fontsize(SMALL + 1)
    figure.supxlabel("reference's confidence in the true class", fontsize=10)
    figure.supylabel("mean probability in training, μ", fontsize=10)
    return figure


def class_figure(table: pd.DataFrame, images: Tensor, title: str) -> Figure:
    """Draw a class's images, a row per method and seed, increments across, S under each.

    ``table`` has ``method``, ``seed``, ``increment`` and ``score`` (or NaN) of the uint8 ``images``
    (N, C, H, W).
    """
    rows = list(table.groupby(["method", "seed"], sort=False))
    widest = max(len(own) for _, own in rows)
    gaps = max(own["increment"].nunique() for _, own in rows) - 1
    figure, axes = plt.subplots(
        len(rows),
        1,
        figsize=(CELL * (widest + 0.3 * gaps) + LABEL_ROOM, 1.32 * CELL * len(rows) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    seeds, above = table["seed"].nunique(), {}
    for axis, ((method, seed), own) in zip(axes[:, 0], rows, strict=True):
        centres = _class_row(axis, own, images)
        axis.set_xlim(0, widest + 0.3 * gaps)
        label = method if seeds == 1 else f"{method}\nseed {seed}"
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        # Said once for all rows whose increments stand below one another.
        named = {} if centres == above else centres
        axis.set_xticks(list(named.values()), [f"increment {k}" for k in named], fontsize=SMALL)
        above = centres
    figure.suptitle(title, fontsize=10)
    return figure


def _class_row(axis: Axes, table: pd.DataFrame, images: Tensor) -> dict[int, float]:
    """Draw a row of images of side 1, a gap of 0.3 between increments; return their centres."""
    marks: dict[int, list[float]] = {}
    for place, (index, row) in enumerate(table.iterrows()):
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
