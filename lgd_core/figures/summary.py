"""A readable table of accuracies: ``python -m lgd_core.figures.summary FOLDER``."""

import sys
from pathlib import Path

import pandas as pd

from lgd_core.analysis.tables import REDUNDANCY_COLUMNS, TABLE_COLUMNS, spread_over
from lgd_core.base.csv_files import parse_csv
from lgd_core.base.errors import UserError
from lgd_core.figures.results import mean_redundancy

# Readable column -> its mean and standard deviation in tables.TABLE_COLUMNS.
SPREADS = {
    "top1 (%)": ("top1_mean", "top1_std"),
    "best (%)": ("best_top1_mean", "best_top1_std"),
    "paper (%)": ("paper_top1", "paper_std"),
}


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy table with "mean ± std" columns, and without empty columns.

    ``table`` as from tables.result_table. The protocol is a column if there are several.
    """
    protocols = table.loc[:, "protocol"]
    several = protocols[protocols != "reference"].nunique() > 1
    named = ["method", "student", *(["protocol"] if several else []), "n"]
    shown = table.loc[:, named].copy()
    for name, (mean, std) in SPREADS.items():
        if table.loc[:, mean].notna().any():
            shown[name] = _written(table.loc[:, mean]) + _written(table.loc[:, std], " ± ")
    return shown


def note(table: pd.DataFrame) -> str:
    """Return the line below a table that explains ±."""
    return f"±: sample standard deviation {spread_over(table)}"


def _written(values: pd.Series, before: str = "") -> pd.Series:
    return values.map(lambda x: f"{before}{x:.1f}" if x == x else "").astype(str)


def summary(folder: Path) -> str:
    """Return the table and the mean redundancy of a results folder, and where to look next."""
    table = parse_csv(folder / "table.csv", TABLE_COLUMNS)
    lines = [readable(table).to_string(index=False), note(table)]
    means = mean_redundancy(parse_csv(folder / "redundancy.csv", REDUNDANCY_COLUMNS))
    for method, mean in means.items():
        lines.append(f"mean off-diagonal redundancy of {method}: {mean.written()} %")
    for kind, suffix in (("pages", "html"), ("pictures", "png")):
        lines.append(f"{kind}: " + ", ".join(map(str, sorted(folder.glob(f"*.{suffix}")))))
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(summary(Path(*sys.argv[1:2])))
    except UserError as error:
        sys.exit(f"error: {error}")
