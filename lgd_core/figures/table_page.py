"""The accuracy table as a page: an answer, a table that sorts, and how it was measured."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from lgd_core.analysis.frames import column, rows_where
from lgd_core.analysis.tables import spread_over
from lgd_core.base.csv_files import parse_csv
from lgd_core.config.external import MANIFEST
from lgd_core.figures.pages import element, filled, joined_files
from lgd_core.figures.result_tables import (
    ACCURACY,
    COUNT,
    DIFFERENCE,
    REDUNDANCY,
    Column,
    filled_columns,
    html_table,
    method_cell,
    number_column,
    text_column,
)
from lgd_core.figures.results import BASE, Measured, Result, answer, by_student

# Images of a method beside its name: of so many classes, at most so many pixels wide.
SHOWN, SIDE = 6, 80
# From this side on, images count as photographs.
LOSSY_FROM = 64
RANGE_WIDTH = 110


def table_page(
    title: str,
    table: pd.DataFrame,
    results: Sequence[Result],
    runs: Sequence[Mapping[str, Any]],
    strips: Mapping[str, str],
) -> str:
    """Return the accuracy table as a page.

    ``table`` and ``results`` as from tables.result_table and results.results_of, ``runs`` the
    artifacts of the students, ``strips`` pictures as from strip, by method.
    """
    columns = filled_columns(results, _columns(results, strips))
    parts = {
        "TITLE": html.escape(title),
        "STYLE": joined_files(["pages.css", "table_page.css"]),
        "SCRIPT": joined_files(["table_page.js"]),
        "ANSWER": answer(results),
        "TABLE": html_table({"": results}, columns, html.escape(title), sortable=True),
        "NOTE": _note(table, results, runs),
    }
    return filled("table_page.html", parts)


def _columns(results: Sequence[Result], strips: Mapping[str, str]) -> list[Column]:
    """Return all columns; some may be empty. Students and protocols are those of sets."""
    sets = [result for result in results if result.is_of_a_set]
    several = [
        column
        for column, names in (
            (text_column("student", lambda result: result.student), {x.student for x in sets}),
            (text_column("protocol", lambda result: result.protocol), {x.protocol for x in sets}),
        )
        if len(names) > 1
    ]
    return [
        Column("method", method_cell, lambda result: result.method),
        *several,
        ACCURACY,
        COUNT,
        _ranges(results),
        DIFFERENCE,
        REDUNDANCY,
        Column("images", lambda result: strips.get(result.method, ""), look="picture"),
        number_column("best evaluation (%)", lambda result: result.best),
        number_column("paper (%)", lambda result: result.paper),
    ]


def _ranges(results: Sequence[Result]) -> Column:
    """Return a column that draws mean and spread of every accuracy on one scale."""
    ends = [end for result in results for end in _ends(result.accuracy)]
    low, high = min(ends), max(ends)

    def place(value: float) -> str:
        return f"{4 + (RANGE_WIDTH - 8) * (value - low) / ((high - low) or 1):.1f}"

    def cell(result: Result) -> str:
        first, last = map(place, _ends(result.accuracy))
        line = element("line", "", x1=first, x2=last, y1=8, y2=8)
        dot = element("circle", "", cx=place(result.accuracy.value), cy=8, r=3.5)
        return element("svg", line + dot, width=RANGE_WIDTH, height=16, aria_hidden="true")

    return Column(f"{low:.0f} to {high:.0f} %", cell, look="picture")


def _ends(measured: Measured) -> tuple[float, float]:
    spread = measured.spread if measured.deviation else 0
    return measured.value - spread, measured.value + spread


def _note(table: pd.DataFrame, results: Sequence[Result], runs: Sequence[Mapping[str, Any]]) -> str:
    """Return, as HTML, what was measured, how, and on what."""
    students = _listed(by_student(results))
    lessons = _listed(_lesson(run["recipe"]["evaluation"]) for run in runs)
    hardware = _listed(run["hardware"] for run in runs)
    torch = _listed(run["versions"]["torch"] for run in runs)
    lines = [
        f"Students ({students}) are trained from scratch for {lessons} on the set of a method and "
        "tested on real images. Accuracy is top-1 after the last epoch; ± is the sample standard "
        f"deviation {spread_over(table)}.",
        f"To {BASE}: mean difference of students with the same seed and number, ± its standard "
        "error. Redundancy: mean accuracy of networks trained on one increment and tested on the "
        "others, ± over sets. Best evaluation: the highest accuracy of those during training, "
        "selected on the test images.",
        f"Trained on {hardware}; torch {torch}.",
    ]
    return "\n".join(element("p", html.escape(line)) for line in lines)


def _lesson(evaluation: Mapping[str, Any]) -> str:
    """Return how long a student learns."""
    if evaluation["steps"]:
        return f"{evaluation['steps']:,} steps"
    return f"{evaluation['epochs']:,} epochs"


def _listed(words) -> str:
    return "; ".join(dict.fromkeys(words))


def strip(folder: str | Path) -> str:
    """Return, as an HTML picture, images of some classes of a merged set, of its last increment."""
    folder = Path(folder)
    # A class may be named like a missing number.
    names = {"dtype": {"class": str}, "keep_default_na": False}
    manifest = parse_csv(folder / MANIFEST, ("file", "class", "increment"), **names)
    increment = column(manifest, "increment")
    last = rows_where(manifest, increment == increment.max())
    first = last.drop_duplicates("class")
    count = min(SHOWN, len(first))
    chosen = first.iloc[[i * len(first) // count for i in range(count)]]
    pictures = [_small(folder / file) for file in chosen["file"]]
    side = pictures[0].width
    row = Image.new(pictures[0].mode, (side * len(pictures), side))
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * side, 0))
    return _as_html(row, "Images: " + ", ".join(chosen["class"]))


def _small(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.resize((SIDE, SIDE)) if image.width > SIDE else image.copy()


def _as_html(picture: Image.Image, words: str) -> str:
    kind = "jpeg" if picture.height >= LOSSY_FROM else "png"
    stream = io.BytesIO()
    picture.save(stream, format=kind)
    address = f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
    look = "strip" if kind == "jpeg" else "strip sharp"
    return element("img", "", src=address, alt=words, class_=look)
