"""What increments bring and how a learner takes them: complementarity and training dynamics."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from lgd_core.metrics import mean_std
from lgd_core.tables import curve_table

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


def wilson_interval(errors: float, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which ``errors`` of ``images`` were seen.

    Wilson (1927); it stays within [0, 1] and is not empty where no or all images are wrong.
    """
    share, z2 = errors / images, Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Z95 * -half + centre, Z95 * half + centre


def complementarity_table(
    accuracies: Mapping[str, Sequence[Sequence[float]]], images: Mapping[str, int]
) -> pd.DataFrame:
    """Return what a network trained on increment 0 gets wrong of every later one (Fig. 8).

    ``accuracies`` maps a method to one row per network: its accuracy in percent on increments 0,
    1, ...; ``images`` maps it to the images of an increment. ``errors`` are images, mean and
    standard deviation over n networks; ``wrong`` is their share in percent with the 95 % interval
    that the finite number of images leaves (all networks together). No rows for K = 1.
    """
    rows = [
        _complementarity_row(method, increment, images[method], networks)
        for method, networks in accuracies.items()
        for increment in range(1, len(networks[0]))
    ]
    return pd.DataFrame(rows, columns=list(COMPLEMENTARITY_COLUMNS))


def _complementarity_row(
    method: str, increment: int, images: int, networks: Sequence[Sequence[float]]
) -> tuple:
    # Accuracies are whole numbers of images, which floating point has only nearly.
    errors = [round((1 - row[increment] / 100) * images) for row in networks]
    low, high = wilson_interval(sum(errors), images * len(errors))
    wrong = 100 * sum(errors) / (images * len(errors))
    spread = mean_std(errors)
    return method, increment, len(errors), images, *spread, wrong, 100 * low, 100 * high


def dynamics_table(learners: Mapping[tuple[str, int, int], dict]) -> pd.DataFrame:
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
