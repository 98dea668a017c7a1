"""Write real images as arrays, split into training, validation and test images."""

from pathlib import Path

from job import note_left_out, running

from lgd_core.base.digests import file_digests
from lgd_core.base.files import write_json
from lgd_core.base.listings import Reading
from lgd_core.config.settings import SourceSettings
from lgd_core.config.sources import images_root, list_source
from lgd_core.data.real_images import prepare

with running(snakemake) as job:
    name = snakemake.wildcards.dataset
    wanted = {key: job.settings[key] for key in ("classes", "wnids", "image")}
    settings = SourceSettings.model_validate(wanted | {"source": snakemake.params.source})
    reading = Reading(list_source(settings, name))
    root = images_root(settings.source, Path(snakemake.input.raw))
    folder = Path(snakemake.output.facts).parent
    facts = prepare(name, settings, root, folder, snakemake.threads, job.log, reading.read)
    note_left_out(job, facts.get("left_out", {}))
    facts |= reading.note(snakemake.params.images, job.settings, snakemake.params.record)
    arrays = [path for path in snakemake.output if Path(path).suffix == ".npy"]
    write_json(snakemake.output.facts, job.stamp(**facts, files=file_digests(arrays)))
