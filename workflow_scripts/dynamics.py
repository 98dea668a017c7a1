"""Draw the loss across increments, its spikes, and what each increment brings."""

from drawing import publish
from job import running

from lgd_core.analysis.analyses import dynamics_table
from lgd_core.base.files import read_json
from lgd_core.figures.analysis_figures import dynamics_figure

with running(snakemake) as job:
    learners = {
        (artifact["method"], int(artifact["seed"]), int(artifact["k"])): artifact
        for artifact in map(read_json, snakemake.input)
    }
    publish(job, dynamics_figure, table=dynamics_table(learners))
