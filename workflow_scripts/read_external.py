"""Read a folder of images from elsewhere into arrays."""

from job import note_left_out, running

from lgd_core.base.digests import file_digests
from lgd_core.base.files import write_json
from lgd_core.base.listings import Reading
from lgd_core.config.external import ExternalSet, list_set
from lgd_core.config.settings import ClassNames, StoredImages
from lgd_core.data.external_sets import read_set

with running(snakemake) as job:
    files = {name: snakemake.output[name] for name in ("images", "labels", "table")}
    external = ExternalSet(folder=snakemake.params.folder, **job.settings["external"])
    names, stored = job.read("names", ClassNames), job.read("stored", StoredImages)
    reading = Reading(list_set(snakemake.wildcards.external, external, names))
    found = read_set(external, stored.image, names, files, snakemake.threads, job.log, reading.read)
    note_left_out(job, found["left_out"])
    found |= reading.note(snakemake.params.images, job.settings, snakemake.params.record)
    write_json(snakemake.output.facts, job.stamp(**found, files=file_digests(files.values())))
