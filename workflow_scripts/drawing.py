"""How a script hands over a figure: tables first, then the picture drawn from their files."""

from collections.abc import Callable

import pandas as pd
from job import Job
from matplotlib.figure import Figure

from lgd_core.base.csv_files import write_csv
from lgd_core.figures.set_figures import save_figure
from lgd_core.figures.styles import looks


def publish(job: Job, draw: Callable[..., Figure], **tables: pd.DataFrame) -> None:
    """Write every table to the output of its name and what ``draw`` makes of them to ``figure``."""
    outputs = job.snakemake.output
    for name, table in tables.items():
        write_csv(table, outputs[name])
    # Read again, so that the picture shows the very numbers that lie beside it.
    written = [pd.read_csv(outputs[name]) for name in tables]
    figure = draw(*written, looks(job.settings["compared"]["methods"]))
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(figure, outputs.figure, job.settings["dpi"], facts)
