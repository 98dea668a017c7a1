"""Read a folder of images from elsewhere into arrays."""

from job import running

from lgd_core.digests import file_digests
from lgd_core.external_arrays import read_set
from lgd_core.runtime import write_json

with running(snakemake) as job:
    files = {name: snakemake.output[name] for name in ("images", "labels", "table")}
    facts = read_set(job.hp["external"], job.hp["network"], files, snakemake.threads, job.log)
    write_json(snakemake.output.facts, job.stamp(**facts, files=file_digests(files.values())))
