"""The learner's accuracy after every increment and its training loss across them."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from lgd_core.analysis.tables import curve_table
from lgd_core.figures.layout import over_seeds
from lgd_core.figures.making import FigureJob


def make(job: FigureJob) -> Figure:
    """Draw the learner's accuracy after every increment and its training loss across them."""
    table = curve_table(job.learners())
    job.write(table)
    return curves(table)


def curves(table: pd.DataFrame) -> Figure:
    """Draw the learner's test accuracy after each increment, and its training loss per epoch.

    ``table`` as from tables.curve_table. Accuracies are means over seeds, each with one set and one
    learner, with one standard deviation; losses are the first seed's, smoothed over 5 epochs.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for method, rows in table.groupby("method", sort=False):
        after = over_seeds(rows, "increment", "top1")
        bars = {"marker": "o", "capsize": 3, "label": method}
        left.errorbar(after.index, after["mean"], after["std"], **bars)
        first = rows.loc[rows["seed"] == rows["seed"].iloc[0]].reset_index(drop=True)
        line = right.plot(first["loss"].rolling(5, min_periods=1).mean(), lw=1, label=method)[0]
        for start in first.index[first["epoch"] == 0][1:]:
            right.axvline(start, color=line.get_color(), lw=0.5, ls=":")
    left.set(xlabel="increment", ylabel="test top-1 (%)", title="Learner after each increment")
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(
        xlabel="epoch, all increments", ylabel="training loss", title="Loss across increments"
    )
    left.legend()
    right.legend()
    return figure
