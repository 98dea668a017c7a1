"""Read a set from elsewhere into arrays."""

from job import note_left_out, running

from lgd_core.base.digests import file_digests
from lgd_core.base.files import read_json, write_json
from lgd_core.base.listings import Reading
from lgd_core.config.external import ExternalSet
from lgd_core.config.settings import ClassNames, StoredImages
from lgd_core.exchange.arriving import list_set, read_set

with running(snakemake) as job:
    files = {name: snakemake.output[name] for name in ("images", "labels", "table")}
    fetched = snakemake.input.get("source")
    folder = read_json(fetched)["folder"] if fetched else snakemake.params.folder
    external = ExternalSet(folder=folder, **job.settings["external"])
    names, stored = job.read("names", ClassNames), job.read("stored", StoredImages)
    listing = list_set(snakemake.wildcards.external, external, names)
    reading = Reading(None if fetched else listing)
    found = read_set(external, stored.image, names, files, snakemake.threads, job.log, reading.read)
    note_left_out(job, found["left_out"])
    found |= reading.note(snakemake.params.images, job.settings, snakemake.params.record)
    write_json(snakemake.output.facts, job.stamp(**found, files=file_digests(files.values())))
