"""Complementarity of increments, and training dynamics of the learner."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lgd_core.analysis.metrics import mean_std
from lgd_core.analysis.tables import curve_table

COMPLEMENTARITY_COLUMNS = (
    "method",
    "increment",
    "n",
    "images",
    "errors_mean",
    "errors_std",
    "wrong",
    "wrong_low",
    "wrong_high",
)
Z95 = 1.959964


def wilson_interval(errors: float, images: float) -> tuple[float, float]:
    """Return the 95 % interval of the share ``errors`` / ``images``.

    Wilson (1927). It lies within [0, 1], and has a length above 0 even if no or all images are
    wrong.
    """
    share, z2 = errors / images, Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Z95 * -half + centre, Z95 * half + centre


def effective_images(errors: Sequence[int], images: int) -> float:
    """Return the effective number of independent images behind the errors of networks.

    ``errors`` has one number per network, each on ``images`` images. For one network all of its
    images count. If the shares of several networks differ by more than chance, the total number of
    images is divided by the design effect (Kish, 1965): the variance of the mean share, divided
    by its variance for as many independent images.
    """
    total = images * len(errors)
    share = sum(errors) / total
    chance = share * (1 - share) / total
    if len(errors) == 1 or chance == 0:
        return total
    between = float(np.var(errors, ddof=1)) / images**2 / len(errors)
    return total / max(1.0, between / chance)


def complementarity_table(
    accuracies: Mapping[str, Sequence[Sequence[float]]], images: Mapping[str, int]
) -> pd.DataFrame:
    """Return the errors on every later increment of a network trained on increment 0 (Fig. 8).

    ``accuracies`` maps a method to one row per network: its accuracy in percent on increments 0,
    1, ... Each network belongs to another set. ``images`` maps a method to the number of images in
    an increment. ``errors`` are numbers of images, mean and standard deviation over n networks;
    ``wrong`` is their share in percent with its 95 % interval, see effective_images. No rows for
    K = 1.
    """
    rows = [
        _complementarity_row(method, increment, images[method], networks)
        for method, networks in accuracies.items()
        for increment in range(1, len(networks[0]))
    ]
    return pd.DataFrame(rows, columns=list(COMPLEMENTARITY_COLUMNS))


def _complementarity_row(
    method: str, increment: int, images: int, networks: Sequence[Sequence[float]]
) -> tuple[str | int | float, ...]:
    # Accuracies stand for whole numbers of images, except for rounding errors.
    errors = [round((1 - row[increment] / 100) * images) for row in networks]
    wrong = 100 * sum(errors) / (images * len(errors))
    effective = effective_images(errors, images)
    low, high = wilson_interval(sum(errors) * effective / (images * len(errors)), effective)
    spread = mean_std(errors)
    return method, increment, len(errors), images, *spread, wrong, 100 * low, 100 * high


def dynamics_table(learners: Mapping[tuple[str, int, int], dict[str, Any]]) -> pd.DataFrame:
    """Return the learner's loss per epoch over all increments, its spikes and gains (Fig. 4).

    As tables.curve_table, with two more columns: ``total_epoch`` counts the epochs over all
    increments, and ``top1_gain`` is the gain of test accuracy by an increment, in points. ``spike``
    is the mean training loss of the first epoch with an increment minus that of the last epoch
    without it.
    """
    table = curve_table(learners)
    by_learner = table.groupby(["method", "seed"], sort=False)
    table.insert(4, "total_epoch", by_learner.cumcount())
    ends = table.dropna(subset="top1")
    table["top1_gain"] = ends.groupby(["method", "seed"], sort=False)["top1"].diff()
    return table
