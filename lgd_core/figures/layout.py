"""Layout of figures: grids of panels, spreads over seeds, a note if there is nothing to draw."""

from collections.abc import Sequence
from typing import Any, cast

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SMALL = 8


def panels(
    count: int, columns: int, width: float, height: float, parent: Figure | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure and ``count`` axes in rows of ``columns``, each width x height inches.

    With a ``parent``, such as a subfigure, the axes are put there.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    if parent is None:
        parent = plt.figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = parent.subplots(rows, columns, squeeze=False).flat
    for unused in axes[count:]:
        unused.set_axis_off()
    return parent, list(axes[:count])


def pictures(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return panels for pictures: they keep their shape, without space between them."""
    figure, axes = panels(count, columns, width, height)
    figure.set_layout_engine("compressed")
    return figure, axes


def note(text: str) -> Figure:
    """Return a figure with a text on why there is nothing to draw."""
    figure, (axis,) = panels(1, 1, 5.0, 2.2)
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    return figure


def over_seeds(table: pd.DataFrame, by: str, column: str) -> pd.DataFrame:
    """Return ``mean``, ``std`` (0 for one seed) and ``count`` of a column, by values of ``by``."""
    known = table.dropna(subset=column)
    spread = known.groupby(by, sort=False)[column].agg(["mean", "std", "count"])
    return cast("pd.DataFrame", spread).fillna({"std": 0.0})


def groups(
    table: pd.DataFrame, by: list[str], sort: bool = False
) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return pairs of values in several columns and the rows of a table with these values."""
    found = list(table.groupby(by, sort=sort))
    return cast("list[tuple[tuple[Any, ...], pd.DataFrame]]", found)


def dodge(index: int, count: int, width: float = 0.2) -> float:
    """Return the offset of series ``index`` of ``count``, so that error bars do not overlap."""
    return 0.0 if count == 1 else width * (index / (count - 1) - 0.5)


def whole_ticks(axis: Axes) -> None:
    """Put ticks of the x axis at whole numbers only."""
    cast("MaxNLocator", axis.xaxis.get_major_locator()).set_params(integer=True)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """Put a legend below all panels."""
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL)
