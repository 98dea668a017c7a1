"""The reference's confidence in every image against mu, how easily it is learned (Fig. 6)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from lgd_core.analysis.measured import measured_images
from lgd_core.figures.layout import SMALL, panels
from lgd_core.figures.making import FigureJob
from lgd_core.figures.styles import REAL


def make(job: FigureJob) -> Figure:
    """Draw the reference's confidence in every image against mu, how easily it is learned."""
    paths = [*job.inputs["samples"], *job.inputs["real"]]
    found = measured_images(paths, job.settings["classes"], job.settings["zones"], REAL)
    return in_distribution_figure(job.write(found.drop(columns=["sigma2", "zone"])), job.looks)


def in_distribution_figure(samples: pd.DataFrame, look: Mapping[str, dict[str, Any]]) -> Figure:
    """Draw the reference's confidence in every image's class against mu, a panel per set.

    ``samples`` as in difficulty, with ``confidence`` and ``misclassified`` (0 or 1). Crosses are
    images that the reference misclassifies.
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
