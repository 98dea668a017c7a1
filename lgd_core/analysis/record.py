"""Records of comparisons: ``python -m lgd_core.analysis.record FOLDER ...``.

A comparison of all methods takes longer than a machine is at hand. So its results are kept piece by
piece: FOLDER is that of a run, ``results/fashionmnist_ipc50/neutral``, and its ``students.csv`` and
``redundancy.csv`` go into ``docs/records``. Tables of docs/results.md are written from the records:
see written.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pandas as pd

from lgd_core.analysis.frames import column, rows_where
from lgd_core.analysis.metrics import Spread, spread
from lgd_core.analysis.students import STUDENT_COLUMNS
from lgd_core.analysis.tables import (
    REDUNDANCY_COLUMNS,
    by_set,
    differences,
    redundancies,
    runs_by_method,
)
from lgd_core.analysis.written import markdown, write_tables
from lgd_core.base.csv_files import parse_csv, write_csv
from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import recipe_fingerprint

STUDENTS = "docs/records/{dataset}.csv"
REDUNDANCY = "docs/records/{dataset}_redundancy.csv"
# What one row of a record is about.
STUDENT_KEYS = ["dataset", "ipc", "method", "student", "protocol", "seed", "run"]
REDUNDANCY_KEYS = ["dataset", "ipc", "method"]
REDUNDANCY_RECORD = (*REDUNDANCY_KEYS, "recipe", "n_sets", "redundancy", "redundancy_std")


def keep(path: str | Path, rows: pd.DataFrame, keys: list[str]) -> None:
    """Put rows into a record, in place of earlier ones with the same keys, in order of the keys."""
    known = [parse_csv(path, rows.columns)] if Path(path).exists() else []
    whole = pd.concat([*known, rows]).drop_duplicates(keys, keep="last").sort_values(keys)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_csv(whole, path)


def keep_run(folder: Path) -> None:
    """Put the students of a run and, if it has them, its redundancies into the records.

    Nothing is kept of a run that has a fault. Raises UserError for a folder without
    ``students.csv``, for a file that is no such table, and for redundancies of methods without
    students, whose recipes are not known.
    """
    students = parse_csv(folder / "students.csv", STUDENT_COLUMNS)
    dataset = students.loc[0, "dataset"]
    redundancy = _redundancy_rows(folder / "redundancy.csv", students)
    keep(STUDENTS.format(dataset=dataset), students, STUDENT_KEYS)
    if redundancy is not None:
        keep(REDUNDANCY.format(dataset=dataset), redundancy, REDUNDANCY_KEYS)


def _redundancy_rows(path: Path, students: pd.DataFrame) -> pd.DataFrame | None:
    """Return the rows of a run's redundancies, with REDUNDANCY_RECORD's columns, one per method.

    None for a run without them. Raises UserError as keep_run does.
    """
    if not path.exists():
        return None
    table = parse_csv(path, REDUNDANCY_COLUMNS)
    recipes = dict(zip(students["method"], students["recipe"], strict=True))
    if strangers := sorted(set(table["method"]) - set(recipes)):
        raise UserError(
            f"{path}: method: found {', '.join(strangers)}, expected methods of students.csv"
        )
    dataset, ipc = students.loc[0, ["dataset", "ipc"]]
    facts = [
        (dataset, ipc, method, recipes[method], found.n_sets, found.mean, found.std)
        for method, found in redundancies(table).items()
    ]
    return pd.DataFrame(facts, columns=list(REDUNDANCY_RECORD))


def results_table(students: pd.DataFrame, redundancy: pd.DataFrame) -> str:
    """Return accuracies of one kind of student as a Markdown table, a row per method.

    ``students`` has the columns students.STUDENT_COLUMNS, ``redundancy`` REDUNDANCY_RECORD. For
    every number of images per class and protocol there are three columns: in percent, the mean of
    the sets' means, the standard deviation between sets and, in parentheses, that within a set; of
    how many sets and, of all these, students; and the difference to ``dit``, paired set by set,
    with its standard error. Redundancy has its standard deviation between sets. Where there
    are several protocols, only methods with students of all of them have a row.
    """
    protocols = set(students["protocol"])
    several = len(protocols) > 1
    learned = students.groupby("method")["protocol"]
    methods = sorted(str(method) for method, of in learned if set(of) == protocols)
    table = pd.DataFrame(index=methods)
    for key, rows in students.groupby(["ipc", "protocol"]):
        ipc, protocol = cast("tuple[int, str]", key)
        above = f", `{protocol}`" if several else ""
        for title, cells in _columns(rows).items():
            table[f"{ipc} per class{above}{title}"] = pd.Series(cells)
    for ipc, rows in redundancy.groupby("ipc"):
        percent = {x["method"]: _redundancy(x) for x in rows.to_dict("records")}
        table[f"{ipc} per class: redundancy"] = pd.Series(percent)
    shown = table.fillna("")
    rows = ([f"`{m}`", *row] for m, row in zip(shown.index, shown.to_numpy(), strict=True))
    return markdown(["method", *shown.columns], rows)


def _columns(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the cells of the columns of one protocol and number of images per class, by method."""
    runs = runs_by_method(cast("list[dict[str, Any]]", rows.to_dict("records")))
    found = {method: spread(by_set(each, "top1")) for (method, _), each in runs.items()}
    above = {method: pair for (method, _), pair in differences(runs, "dit").items()}
    return {
        "": {method: _accuracy(each) for method, each in found.items()},
        ": sets, students": {method: f"{x.n_sets}, {x.n_runs}" for method, x in found.items()},
        ": difference to `dit`": {method: _difference(*pair) for method, pair in above.items()},
    }


def _accuracy(found: Spread) -> str:
    between = f" ± {found.between:.1f}" if found.n_sets > 1 else ""
    within = f" ({found.within:.1f})" if found.n_runs > found.n_sets else ""
    return f"{found.mean:.1f}{between}{within}"


def _redundancy(row: dict[str, Any]) -> str:
    between = f" ± {row['redundancy_std']:.1f}" if row["n_sets"] > 1 else ""
    return f"{row['redundancy']:.1f}{between}"


def _difference(mean: float, error: float) -> str:
    shown = round(mean, 1) + 0.0  # no minus before zero
    return f"{shown:+.1f} ± {error:.1f}".replace("-", "−") if mean == mean else ""


def table_of(words: str) -> str:
    """Return the table that the page's comment asks for: DATASET IPC,... STUDENT PROTOCOL ...

    With the word ``redundancy`` in place of a protocol it has the redundancies, too.
    """
    dataset, amounts, student, *shown = words.split()
    ipc = [int(amount) for amount in amounts.split(",")]
    students = parse_csv(STUDENTS.format(dataset=dataset), STUDENT_COLUMNS)
    redundancy = pd.DataFrame(columns=list(REDUNDANCY_RECORD))
    path = Path(REDUNDANCY.format(dataset=dataset))
    if "redundancy" in shown and path.exists():
        redundancy = parse_csv(path, REDUNDANCY_RECORD)
    return results_table(
        _among(students, ipc=ipc, student=[student], protocol=shown), _among(redundancy, ipc=ipc)
    )


def _among(table: pd.DataFrame, **values: list[Any]) -> pd.DataFrame:
    """Return the rows of a table whose columns have one of the given values each."""
    for name, known in values.items():
        table = rows_where(table, column(table, name).isin(known))
    return table


def outdated(dataset: str, rows_of_methods: pd.DataFrame) -> Iterator[str]:
    """Yield the methods of a record whose recipe is no longer the one that made their rows."""
    recipes = Recipes(Path("config"), {})
    for method, rows in rows_of_methods.groupby("method"):
        if set(rows["recipe"]) != {recipe_fingerprint(recipes.origins(dataset, str(method)))}:
            yield str(method)


def main(*folders: str) -> None:
    """Keep the results of runs, and write the page's tables anew."""
    for folder in folders:
        keep_run(Path(folder))
    write_tables("table", table_of)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
