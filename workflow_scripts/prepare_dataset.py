"""Split real images into arrays."""

from pathlib import Path

from job import running

from lgd_core.data import prepare, save_split

with running(snakemake) as job:
    splits = prepare(snakemake.wildcards.dataset, job.hp, Path(snakemake.input.raw))
    for split, (images, labels) in splits.items():
        save_split(Path(snakemake.output[0]).parent, split, images, labels)
        job.log(f"{split}: {len(labels)} images")
