"""HTML tables of results: a column is a heading, cells, and what it is sorted by."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from lgd_core.figures.pages import element
from lgd_core.figures.results import BASE, Measured, Result, best_of_each


@dataclass(frozen=True)
class Column:
    """A column: its heading, its cells as HTML, and what it is sorted by, if it can be.

    ``look`` is the class of its cells in pages.css: text, number or picture.
    """

    title: str
    cell: Callable[[Result], str]
    key: Callable[[Result], float | str] | None = None
    look: str = "text"


def text_column(title: str, get: Callable[[Result], str]) -> Column:
    """Return a column of words."""
    return Column(title, lambda result: html.escape(get(result)), get)


def number_column(title: str, get: Callable[[Result], Measured], signed: bool = False) -> Column:
    """Return a column of numbers with their spreads, for which all rows have the same room."""

    def cell(result: Result) -> str:
        found = get(result)
        if not found.is_known:
            return ""
        return f"{found.number(signed)} {element('span', found.deviation, class_='spread')}"

    return Column(title, cell, lambda result: get(result).value, "number")


COUNT = Column("n", lambda result: str(result.n), lambda result: result.n, "number")
ACCURACY = number_column("accuracy (%)", lambda result: result.accuracy)
DIFFERENCE = number_column(f"to {BASE} (points)", lambda result: result.difference, signed=True)
REDUNDANCY = number_column("redundancy (%)", lambda result: result.redundancy)


def method_cell(result: Result) -> str:
    """Return a method's name above what it is."""
    about = element("small", html.escape(result.description))
    return element("span", _breakable(result.method), class_="method") + about


def method_link(result: Result) -> str:
    """Return a method's name, as a link to its images on the page if it has any."""
    address = f"#{quote(result.method)}" if result.is_of_a_set else None
    return element(
        "a" if address else "span",
        _breakable(result.method),
        href=address,
        class_="method",
        title=result.description,
    )


def _breakable(name: str) -> str:
    """Return a name as HTML that may be broken after its underscores."""
    return html.escape(name).replace("_", "_<wbr>")


def filled_columns(results: Sequence[Result], columns: Sequence[Column]) -> list[Column]:
    """Return the columns that are not empty."""
    return [column for column in columns if any(map(column.cell, results))]


def html_table(
    groups: Mapping[str, Sequence[Result]], columns: Sequence[Column], caption: str, sortable: bool
) -> str:
    """Return a table as HTML; each group has a heading of its own, if there are several.

    Headings of a ``sortable`` table are buttons, for table_page.js.
    """
    bodies = [
        element("tbody", _group_heading(name, len(columns), len(groups)) + _rows(own, columns))
        for name, own in groups.items()
    ]
    heads = "".join(_head(column, sortable) for column in columns)
    head = element("thead", element("tr", heads))
    return element("table", element("caption", caption) + head + "\n".join(bodies))


def _head(column: Column, sortable: bool) -> str:
    title = html.escape(column.title)
    if sortable and column.key:
        title = element("button", title, type="button")
    return element("th", title, scope="col", class_=column.look)


def _group_heading(name: str, width: int, groups: int) -> str:
    cell = element("th", html.escape(name), scope="rowgroup", colspan=width)
    return element("tr", cell, class_="group") if groups > 1 else ""


def _rows(results: Sequence[Result], columns: Sequence[Column]) -> str:
    best = best_of_each(results)
    return "\n".join(
        element(
            "tr",
            "".join(_cell(result, column, first=column is columns[0]) for column in columns),
            class_="best" if result in best else None,
        )
        for result in results
    )


def _cell(result: Result, column: Column, first: bool) -> str:
    """Return a cell; the first of a row is the row's heading."""
    key = column.key(result) if column.key else None
    return element(
        "th" if first else "td",
        column.cell(result),
        class_=column.look,
        # Cells without a number have none.
        data_value=key if key == key else None,
        scope="row" if first else None,
    )
