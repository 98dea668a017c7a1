"""Find the real training images nearest to a folder's images, and its near-duplicates."""

from pathlib import Path

import pandas as pd
from job import running

from lgd_core.data import load_split
from lgd_core.learners import load_network
from lgd_core.neighbours import near_duplicates, neighbours_table
from lgd_core.runtime import write_json
from lgd_core.tables import write_csv

with running(snakemake) as job:
    neighbours, threshold = neighbours_table(
        pd.read_csv(snakemake.input.table),
        load_split(Path(snakemake.input.images).parent, "set")[0],
        load_split(Path(snakemake.input[0]).parent, "train"),
        load_network(snakemake.input.reference[0], job.device),
        job.hp["network"],
        job.device,
    )
    write_csv(neighbours, snakemake.output.neighbours)
    write_csv(near_duplicates(neighbours, threshold), snakemake.output.duplicates)
    write_json(snakemake.output.facts, job.stamp(threshold=threshold))
