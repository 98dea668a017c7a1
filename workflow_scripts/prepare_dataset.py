"""Split real images into arrays."""

import json
from pathlib import Path

from job import running

from lgd_core.data import prepare
from lgd_core.runtime import write_json

with running(snakemake) as job:
    root = Path(json.loads(Path(snakemake.input.facts).read_text())["root"])
    folder = Path(snakemake.output.facts).parent
    name, threads = snakemake.wildcards.dataset, snakemake.threads
    facts = prepare(name, job.hp, root, folder, threads, job.log)
    write_json(snakemake.output.facts, job.stamp(**facts))
