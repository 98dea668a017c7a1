"""Draw what guidance does along the sampling steps, beside the same noise without it."""

import pandas as pd
from drawing import publish
from job import running

from lgd_core.analysis.traces import TRACE_COLUMNS, trace_frame
from lgd_core.base.tensors import load_tensors
from lgd_core.figures.analysis_figures import guidance_figure

with running(snakemake) as job:
    parts = [pd.DataFrame(columns=["method", "seed", "increment", *TRACE_COLUMNS])]
    for tensors, metadata in map(load_tensors, snakemake.input):
        places = {"method": metadata["method"], "seed": metadata["seed"]}
        increment = int(metadata["k"])
        parts.append(trace_frame(tensors).assign(**places, increment=increment))
    table = pd.concat(parts[1:] or parts)[parts[0].columns]
    publish(job, guidance_figure, table=table)
