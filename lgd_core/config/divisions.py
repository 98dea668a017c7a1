"""Divisions of the classes of a data set: shards of sampling, phases of tuning."""

from itertools import pairwise


def class_runs(classes: int, parts: int) -> list[list[int]]:
    """Return labels 0, 1, ... as contiguous runs whose lengths differ by one at most."""
    size, longer = divmod(classes, parts)
    ends = [part * size + min(part, longer) for part in range(parts + 1)]
    return [list(range(*run)) for run in pairwise(ends)]


def phase_count(classes: int, classes_per_phase: int | None) -> int:
    """Return the phases in which a prior is tuned, each for so many classes at most."""
    return 1 if classes_per_phase is None else -(-classes // classes_per_phase)


def phases_with(labels: list[int], classes: int, phases: int) -> list[int]:
    """Return the phases that any of the labels belongs to."""
    runs = class_runs(classes, phases)
    return [phase for phase, run in enumerate(runs) if not set(labels).isdisjoint(run)]
