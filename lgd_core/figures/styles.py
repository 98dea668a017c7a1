"""The same colour and marker for a method in all figures, distinguishable without colour."""

from collections.abc import Sequence
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.config.schema import suggest

# Okabe and Ito (2008), without yellow, which is hard to see on paper; grey is for real images.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osv^Dp*Xh"
# One of each per colour.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
# Colour maps in every Matplotlib; for others it is imported, which takes half a second.
UNIFORM = ("viridis", "plasma", "inferno", "magma", "cividis")
REAL = "real"
REAL_LOOK = {"color": "#7F7F7F", "marker": "P"}


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker of every method, by its place in the run's list, and of real images.

    Up to seven methods have different colours; up to 63 have different pairs of colour and marker.
    """
    return {
        method: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, method in enumerate(methods)
    } | {REAL: REAL_LOOK}


def line_style(index: int) -> dict[str, Any]:
    """Return colour, marker and dash of the line with an index."""
    series = index % len(COLOURS)
    return {"color": COLOURS[series], "marker": MARKERS[series], "ls": DASHES[series]}


def bar_style(index: int) -> dict[str, Any]:
    """Return colour and hatch of the bars with an index; from index 7 on colours repeat."""
    hatch = (index + index // len(COLOURS)) % len(HATCHES)
    return {"color": COLOURS[index % len(COLOURS)], "hatch": HATCHES[hatch]}


def check_colormap(name: str, where: str) -> None:
    """Raise UserError unless Matplotlib has a colour map; ``where`` names the key."""
    if name in UNIFORM:
        return
    from matplotlib import colormaps

    if name not in colormaps:
        raise UserError(f"{where}: unknown colour map '{name}'{suggest(name, list(colormaps))}")
