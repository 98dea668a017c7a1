"""Write increments 0 to k as class folders of PNG with a manifest."""

from job import running

from lgd_core.config.settings import StoredImages
from lgd_core.data.distilled import load_increment, origin_of, write_folder

with running(snakemake) as job:
    stored, size = job.pick(StoredImages), job.settings["ipc_per_increment"]
    read = [load_increment(path, stored, size) for path in snakemake.input]
    increments, stamps = zip(*read, strict=True)
    origins = list(map(origin_of, stamps))
    provenance = job.stamp(increments=origins, formation=stamps[0]["formation"])
    write_folder(snakemake.output.folder, increments, job.settings["names"], provenance)
