"""Split real images into arrays."""

from pathlib import Path

from job import note_left_out, running

from lgd_core.base.digests import file_digests
from lgd_core.base.files import write_json
from lgd_core.base.listings import Reading
from lgd_core.config.sources import images_root, list_source
from lgd_core.data.real_images import prepare

with running(snakemake) as job:
    name, source = snakemake.wildcards.dataset, snakemake.params.source
    recipe = job.settings | {"source": source}
    reading = Reading(list_source(recipe, name))
    root = images_root(source, Path(snakemake.input.raw))
    folder = Path(snakemake.output.facts).parent
    facts = prepare(name, recipe, root, folder, snakemake.threads, job.log, reading.read)
    note_left_out(job, facts.get("left_out", {}))
    facts |= reading.note(snakemake.params.images, job.settings, snakemake.params.record)
    arrays = [path for path in snakemake.output if Path(path).suffix == ".npy"]
    write_json(snakemake.output.facts, job.stamp(**facts, files=file_digests(arrays)))
