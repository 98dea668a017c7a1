"""Making figures: each has a module with the name of its rule and a function ``make``.

``make`` takes a FigureJob, writes the tables behind the figure and returns the figure.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from lgd_core.base.csv_files import parse_csv, write_csv
from lgd_core.base.files import atomic, read_json
from lgd_core.figures.styles import COLOURS, looks

mpl.use("Agg")
# Methods are drawn in the run's order, so this cycle gives them the same colours as `looks`.
mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)


@dataclass(frozen=True)
class FigureJob:
    """Inputs, outputs, settings and wildcards of a figure, by their names in its rule.

    ``settings`` has the methods and seeds ``compared``, and the figure's own keys.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, str]
    settings: Mapping[str, Any]
    wildcards: Mapping[str, str]

    @property
    def looks(self) -> dict[str, dict[str, Any]]:
        """Colour and marker of every method, and of real images."""
        return looks(self.settings["compared"]["methods"])

    def artifacts(self, name: str) -> list[dict[str, Any]]:
        """Read the JSON artifacts among the inputs; none if the rule has no inputs of this name."""
        return [read_json(path) for path in self.inputs.get(name, [])]

    def learners(self) -> dict[tuple[str, int, int], dict[str, Any]]:
        """Read the learners among the inputs, by method, seed and increment."""
        return {(a["method"], int(a["seed"]), int(a["k"])): a for a in self.artifacts("learners")}

    def write(
        self, table: pd.DataFrame, name: str = "table", exact: Container[str] = ()
    ) -> pd.DataFrame:
        """Write a table to the output of a name; return it as read back, rounded.

        ``exact`` as in csv_files.write_csv.
        """
        write_csv(table, self.outputs[name], exact)
        return parse_csv(self.outputs[name])


def maker(name: str) -> Callable[[FigureJob], Figure]:
    """Import the module of a figure; return its function ``make``."""
    return import_module(f"lgd_core.figures.{name}").make


def save_figure(figure: Figure, path: str | Path, dpi: int, facts: dict[str, str]) -> None:
    """Write a PNG atomically, with facts in its text chunks, and close the figure."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata=facts, bbox_inches="tight")
    plt.close(figure)
