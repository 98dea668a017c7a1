"""Fetch a set from the hub."""

from pathlib import Path

from job import running

from lgd_core.base.digests import fingerprint
from lgd_core.base.files import write_json
from lgd_core.data.hub import locate_set

with running(snakemake) as job:
    settings, key = job.settings, f"external.{snakemake.wildcards.external}"
    folder = locate_set(settings["name"], settings["revision"], key)
    job.log(f"set in {folder}")
    facts = {"folder": str(folder), "contents": fingerprint(None, [Path(folder)])}
    write_json(snakemake.output.facts, job.stamp(**facts))
