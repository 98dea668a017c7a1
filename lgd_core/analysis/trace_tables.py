"""Traces of guidance as tables. Not in traces, which imports the prior's slow libraries."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from torch import Tensor

from lgd_core.analysis.frames import columns

GUIDED, UNGUIDED = PATHS = ("guided", "unguided")
TRACE_COLUMNS = ("path", "step", "alpha_bar", "quantity", "mean", "std", "n")
# Prefix of the quantities |change| / |noise|, one per guidance.
CHANGE = "change_"


def trace_table(traces: Iterable[tuple[dict[str, Tensor], dict[str, Any]]]) -> pd.DataFrame:
    """Return trace_frame of several increments as one table, with method, seed, increment."""
    parts = [
        trace_frame(tensors).assign(
            method=metadata["method"], seed=metadata["seed"], increment=int(metadata["k"])
        )
        for tensors, metadata in traces
    ]
    names = ["method", "seed", "increment", *TRACE_COLUMNS]
    return columns(pd.concat(parts), names) if parts else pd.DataFrame(columns=names)


def trace_frame(tensors: dict[str, Tensor]) -> pd.DataFrame:
    """Return mean, standard deviation and n over images of every quantity at every step.

    ``tensors`` as from traces.trace_guidance. ``step`` counts down to 0, like a window's indices.
    """
    rows = []
    for path in PATHS:
        alpha_bars = tensors[f"{path}.alpha_bar"].tolist()
        for name, values in tensors.items():
            quantity = name.removeprefix(f"{path}.")
            if quantity in (name, "alpha_bar"):
                continue
            means, stds = values.double().mean(1), values.double().std(1)
            rows += [
                (path, len(values) - 1 - i, alpha_bar, quantity, *pair, values.shape[1])
                for i, (alpha_bar, *pair) in enumerate(
                    zip(alpha_bars, means.tolist(), stds.tolist(), strict=True)
                )
            ]
    return pd.DataFrame(rows, columns=list(TRACE_COLUMNS))
