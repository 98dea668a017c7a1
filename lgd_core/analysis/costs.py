"""The costs of a comparison as one table: benchmarks of its jobs, passes per image."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from lgd_core.analysis.network_evaluations import PASSES, Amounts, mean_evaluations
from lgd_core.base.csv_files import parse_csv
from lgd_core.base.files import read_json
from lgd_core.config.complete import CompleteMethod

COST_COLUMNS = (
    "dataset",
    "ipc",
    "stage",
    "method",
    "used_by",
    "jobs",
    "seconds",
    "cpu_seconds",
    "images",
    "images_per_second",
    "peak_memory_mb",
    *PASSES,
)


def cost_table(
    dataset: str, ipc: int, stages: Iterable[dict[str, Any]], known: dict[str, Any]
) -> pd.DataFrame:
    """Return one row per stage: time of all its jobs, peak memory of one, passes per image.

    A stage has a name, ``method`` ("shared" for several), ``used_by``, the paths of its jobs'
    ``benchmarks`` and ``images``: the number it made, or saw in training over all epochs. If it has
    ``curves``, paths of learner.json, images are counted from these. A stage that makes images has
    ``drawn``: its ``recipe``, ``increments`` and the ``classes`` of one job. ``known`` is from
    read_amounts. Memory is the main memory of the largest process tree, in MB.
    """
    rows = [
        {"dataset": dataset, "ipc": ipc, "stage": stage["stage"], "method": stage["method"]}
        | {"used_by": " ".join(stage["used_by"]), **_measured(stage["benchmarks"])}
        | {"images": _images(stage), **_passes(stage, known)}
        for stage in stages
    ]
    table = pd.DataFrame(rows).reindex(columns=list(COST_COLUMNS))
    table["images_per_second"] = table["images"] / table["seconds"]
    return table


def read_amounts(prepared: str | Path, checkpoints: str | Path | None) -> dict[str, float]:
    """Return the arguments of Amounts that do not follow from recipes.

    ``prepared`` is the path of prepared.json, ``checkpoints`` that of the surrogate's
    checkpoints.json, None if no method has a surrogate.
    """
    counts = read_json(prepared)["images"]["train"].values()
    kept = read_json(checkpoints)["epochs_kept"] if checkpoints else []
    return {
        "images": sum(counts),
        "images_per_class": sum(counts) / len(counts),
        "smallest_class": min(counts),
        "checkpoints": len(kept),
    }


def read_benchmark(path: str | Path) -> pd.DataFrame:
    """Read Snakemake's benchmark of a job; values missing for short jobs are NaN."""
    columns = ("s", "cpu_time", "max_rss")
    return parse_csv(path, columns, sep="\t", na_values=["-", "NA"])


def _measured(paths: list[str]) -> dict[str, Any]:
    jobs = pd.concat([read_benchmark(path) for path in paths])
    return {
        "jobs": len(jobs),
        "seconds": jobs["s"].sum(),
        "cpu_seconds": jobs["cpu_time"].sum(),
        "peak_memory_mb": jobs["max_rss"].max(),
    }


def _images(stage: dict[str, Any]) -> int | None:
    if "curves" not in stage:
        return stage.get("images")
    learners = map(read_json, stage["curves"])
    return sum(learner["images"] * len(learner["curve"]) for learner in learners)


def _passes(stage: dict[str, Any], known: dict[str, Any]) -> dict[str, float]:
    if "drawn" not in stage:
        return {}
    drawn = stage["drawn"]
    method, amounts = CompleteMethod(**drawn["recipe"]), Amounts(drawn["classes"], **known)
    return mean_evaluations(method, drawn["increments"], amounts)
