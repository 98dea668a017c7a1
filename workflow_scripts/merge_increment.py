"""Write increments 0 to k as class folders of PNG with a manifest."""

from job import running

from lgd_core.distilled import load_tensors, write_folder

with running(snakemake) as job:
    increments = [load_tensors(path)[0] for path in snakemake.input]
    write_folder(snakemake.output.folder, increments, job.hp["classes"])
