"""A row for a leaderboard: ``python -m lgd_core.analysis.leaderboard SCORES METHOD``."""

import sys
from pathlib import Path

from lgd_core.analysis.frames import column, rows_where
from lgd_core.analysis.scores import SCORE_COLUMNS
from lgd_core.base.csv_files import parse_csv
from lgd_core.base.errors import UserError
from lgd_core.config.schema import suggest

# Decimals of points, and of scores from 0 to 1.
DECIMALS = {"hlr": 2, "ior": 2, "lrs": 3, "ars": 3}


def entry(path: str | Path, method: str) -> str:
    """Return the row of a method in a table of scores as CSV, below a header.

    HLR and IOR are in percentage points, LRS and ARS in [0, 1]. Raises UserError for a file that is
    no table of scores, and for a method that it does not have.
    """
    table = parse_csv(path, SCORE_COLUMNS)
    methods = column(table, "method")
    if method not in methods.tolist():
        raise UserError(f"{path}: unknown method '{method}'{suggest(method, methods.tolist())}")
    (row,) = rows_where(table, methods == method).to_dict("records")
    named = {name: str(row[name]) for name in ("dataset", "ipc", "method", "labels")}
    scores = {name: f"{row[name]:.{decimals}f}" for name, decimals in DECIMALS.items()}
    cells = named | scores
    return "\n".join(",".join(line) for line in (cells.keys(), cells.values()))


if __name__ == "__main__":
    try:
        path, method = sys.argv[1:]
    except ValueError:
        sys.exit("error: expected a table of scores and a method: results/.../scores.csv lgd")
    try:
        print(entry(path, method))
    except UserError as error:
        sys.exit(f"error: {error}")
