"""Fetch the raw files of a data set."""

from pathlib import Path

from job import note, running

from lgd_core.base.files import write_json
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.data.fetching import fetch

with running(snakemake) as job:
    source = SourceConfig.model_validate(snakemake.params.source)
    facts = fetch(source, Path(snakemake.output.raw), job.log)
    if "note" in facts:
        note(job, facts["note"])
    write_json(snakemake.output.facts, job.stamp(**facts))
