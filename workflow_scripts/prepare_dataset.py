"""Split real images into arrays."""

from pathlib import Path

from job import running

from lgd_core.data import prepare
from lgd_core.digests import file_digests
from lgd_core.runtime import read_json, write_json

with running(snakemake) as job:
    root = Path(read_json(snakemake.input.facts)["root"])
    folder = Path(snakemake.output.facts).parent
    name, threads = snakemake.wildcards.dataset, snakemake.threads
    facts = prepare(name, job.hp, root, folder, threads, job.log)
    arrays = [path for path in snakemake.output if Path(path).suffix == ".npy"]
    write_json(snakemake.output.facts, job.stamp(**facts, files=file_digests(arrays)))
