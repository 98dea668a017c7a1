"""Encode the real training images into the prior's latent space."""

import os

from job import open_prior, running

from lgd_core.base.digests import file_digests
from lgd_core.base.files import write_json
from lgd_core.distill.modes import encode_images

with running(snakemake) as job:
    images, _ = job.real_images(snakemake.input[0]).split("originals")
    unfinished = job.checkpoints / "latents.npy"
    encode_images(open_prior(job), images, unfinished, job.checkpoint)
    os.replace(unfinished, snakemake.output.latents)
    files = file_digests([snakemake.output.latents])
    write_json(snakemake.output.record, job.stamp(files=files))
