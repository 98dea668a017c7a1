"""Bring the raw files of a data set."""

import sys
from pathlib import Path

from job import running

from lgd_core.fetching import fetch
from lgd_core.runtime import write_json

with running(snakemake) as job:
    facts = fetch(job.hp["source"], Path(snakemake.output.raw), job.log)
    if "note" in facts:
        job.log(facts["note"])
        # The log alone would go unread.
        print(f"note: {facts['note']}", file=sys.__stderr__)
    write_json(snakemake.output.facts, job.stamp(**facts))
