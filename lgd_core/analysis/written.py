"""Tables of docs/results.md that are written from records, each between two comments.

``<!-- table: WORDS -->``, the table, ``<!-- end of table -->``; ``search`` in place of ``table``
for those of searches. The words say what is in it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from lgd_core.base.files import atomic

PAGE = "docs/results.md"


def with_tables(page: str, kind: str, table: Callable[[str], str]) -> str:
    """Return a page's text with all tables of a kind written anew; ``table`` makes one of words."""
    places = re.compile(rf"(<!-- {kind}: (.+?) -->\n).*?(<!-- end of {kind} -->)", re.DOTALL)
    return places.sub(lambda found: f"{found[1]}\n{table(found[2])}\n{found[3]}", page)


def write_tables(kind: str, table: Callable[[str], str]) -> None:
    """Write all tables of a kind anew in the page."""
    page = with_tables(Path(PAGE).read_text(encoding="utf-8"), kind, table)
    with atomic(PAGE) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
