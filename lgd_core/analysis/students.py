"""One row per student: what tables of accuracies are means of."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

STUDENT_COLUMNS = (
    "dataset",
    "ipc",
    "method",
    "recipe",
    "student",
    "protocol",
    "seed",
    "run",
    "top1",
    "best_top1",
    "validation_top1",
    "hardware",
    "torch",
)


def students_table(
    artifacts: Iterable[dict[str, Any]], ipc: int, recipes: Mapping[str, str]
) -> pd.DataFrame:
    """Return the evaluations of a run as a table with STUDENT_COLUMNS; accuracies in percent.

    ``artifacts`` are what evaluations have written, ``recipes`` maps methods to fingerprints of
    their recipes. Students of one ``seed`` share a set; those with the same ``seed`` and ``run``
    start from the same weights, whatever the method.
    """
    rows = [
        artifact
        | {"ipc": ipc, "recipe": recipes[artifact["method"]]}
        | {"torch": artifact["versions"]["torch"]}
        for artifact in artifacts
    ]
    return pd.DataFrame(rows).reindex(columns=list(STUDENT_COLUMNS))
