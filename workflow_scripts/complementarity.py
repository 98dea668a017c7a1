"""Draw what a network trained on the first increment gets wrong of every later one."""

from drawing import publish
from job import running

from lgd_core.analysis.analyses import complementarity_table
from lgd_core.base.files import read_json
from lgd_core.figures.analysis_figures import complementarity_figure

with running(snakemake) as job:
    # Row 0 of the cross-increment matrix is that network; it is trained there and not again here.
    accuracies: dict[str, list] = {}
    for artifact in map(read_json, snakemake.input):
        accuracies.setdefault(artifact["method"], []).append(artifact["matrix"][0])
    table = complementarity_table(accuracies, job.settings["images"])
    publish(job, complementarity_figure, table=table)
