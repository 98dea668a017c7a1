"""What increments bring and how a learner takes them: complementarity and training dynamics."""

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
    """Return the 95 % interval of a share of which ``errors`` of ``images`` were seen.

    Wilson (1927); it stays within [0, 1] and is not empty where no or all images are wrong.
    """
    share, z2 = errors / images, Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Z95 * -half + centre, Z95 * half + centre


def effective_images(errors: Sequence[int], images: int) -> float:
    """Return how many independent images the errors of networks on ``images`` each are worth.

    All of them for one network, whose interval then is that of its images alone. Where the shares
    of several differ by more than chance does, their images are worth less by the design effect
    (Kish, 1965): the variance of the mean share over that of as many independent images.
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
    """Return what a network trained on increment 0 gets wrong of every later one (Fig. 8).

    ``accuracies`` maps a method to one row per network: its accuracy in percent on increments 0,
    1, ...; ``images`` maps it to the images of an increment. A network belongs to a set of its own.
    ``errors`` are images, mean and standard deviation over n networks; ``wrong`` is their share in
    percent with its 95 % interval, see effective_images. No rows for K = 1.
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
    # Accuracies are whole numbers of images, which floating point has only nearly.
    errors = [round((1 - row[increment] / 100) * images) for row in networks]
    wrong = 100 * sum(errors) / (images * len(errors))
    effective = effective_images(errors, images)
    low, high = wilson_interval(sum(errors) * effective / (images * len(errors)), effective)
    spread = mean_std(errors)
    return method, increment, len(errors), images, *spread, wrong, 100 * low, 100 * high


def dynamics_table(learners: Mapping[tuple[str, int, int], dict[str, Any]]) -> pd.DataFrame:
    """Return the learner's loss per epoch over all increments, its spikes and gains (Fig. 4).

    As tables.curve_table, with ``total_epoch``, the epochs since the learner was new, and
    ``top1_gain``, the points of test accuracy that an increment brought, beside ``top1``.
    ``spike`` is the mean training loss of the first epoch with an increment minus that of the last
    epoch without it.
    """
    table = curve_table(learners)
    by_learner = table.groupby(["method", "seed"], sort=False)
    table.insert(4, "total_epoch", by_learner.cumcount())
    ends = table.dropna(subset="top1")
    table["top1_gain"] = ends.groupby(["method", "seed"], sort=False)["top1"].diff()
    return table
