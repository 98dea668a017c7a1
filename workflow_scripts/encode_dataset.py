"""Encode the real training images into the prior's latent space."""

from pathlib import Path

from job import open_prior, running

from lgd_core.base.tensors import save_tensors
from lgd_core.data.real_images import load_split
from lgd_core.distill.modes import encode_images

with running(snakemake) as job:
    images, _ = load_split(Path(snakemake.input[0]).parent, "originals")
    latents = encode_images(open_prior(job), images, job.checkpoint)
    save_tensors(snakemake.output.latents, {"latents": latents}, job.stamp())
