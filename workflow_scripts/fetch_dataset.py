"""Bring the raw files of a data set."""

from pathlib import Path

from job import running

from lgd_core.fetching import fetch
from lgd_core.runtime import write_json

with running(snakemake) as job:
    facts = fetch(job.hp["source"], Path(snakemake.output.raw), job.log)
    write_json(snakemake.output.facts, job.stamp(**facts))
