"""Statistics of results: spread over runs and sets, paired differences, redundancy."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)
Run = TypeVar("Run", bound=Hashable)


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (n - 1); NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


@dataclass(frozen=True)
class Spread:
    """Mean of a method's results and their sample standard deviations at two levels.

    Students of one set do not show the variation between sets of the same method. ``std`` is over
    ``n`` units: the students if there is one set, otherwise the sets, each with the mean of its
    students. ``between`` is the standard deviation of the sets' means, ``within`` that of the
    students of a set, pooled over sets. A deviation over one unit is NaN.
    """

    mean: float
    std: float
    n: int
    n_sets: int
    n_runs: int
    between: float
    within: float


def spread(sets: Iterable[Sequence[float]]) -> Spread:
    """Summarise the results of students, given set by set; the mean is that of the sets' means."""
    sets = list(sets)
    n_sets, n_runs = len(sets), sum(map(len, sets))
    mean, between = mean_std([float(np.mean(values)) for values in sets])
    squares = sum(len(values) * float(np.var(values)) for values in sets)
    within = math.sqrt(squares / (n_runs - n_sets)) if n_runs > n_sets else math.nan
    std, n = (mean_std(sets[0])[1], n_runs) if n_sets == 1 else (between, n_sets)
    return Spread(mean, std, n, n_sets, n_runs, between, within)


def paired_difference(
    sets: Mapping[Name, Mapping[Run, float]], others: Mapping[Name, Mapping[Run, float]]
) -> tuple[float, float]:
    """Return mean and standard error of ``sets - others``, each {set: {run: result}}.

    Differences are taken run by run between sets of the same name, and averaged over each set. The
    standard error is over these averages or, if both sides have one set, over the runs. NaN for
    fewer than two of them.
    """
    pairs = [
        [runs[run] - others[name][run] for run in runs if run in others[name]]
        for name, runs in sets.items()
        if name in others
    ]
    pairs = [differences for differences in pairs if differences]
    if max(len(sets), len(others)) > 1:
        pairs = [[float(np.mean(differences))] for differences in pairs]
    if sum(map(len, pairs)) < 2:
        return math.nan, math.nan
    found = spread(pairs)
    return found.mean, found.std / math.sqrt(found.n)


def mean_off_diagonal(matrix: Sequence[Sequence[float]] | np.ndarray) -> float | None:
    """Return the mean of a K x K matrix without its diagonal; None for K = 1."""
    square = np.asarray(matrix, dtype=float)
    away = ~np.eye(len(square), dtype=bool)
    return float(square[away].mean()) if away.any() else None
