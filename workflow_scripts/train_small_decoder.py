"""Train a small decoder of the prior's latents."""

from pathlib import Path

from job import open_prior, running

from lgd_core.base.files import write_json
from lgd_core.config.models.dataset import SmallDecoderTrainConfig
from lgd_core.data.real_images import load_split
from lgd_core.diffusion.small_decoder import save_small_decoder, train_small_decoder

with running(snakemake) as job:
    recipe = job.read("train", SmallDecoderTrainConfig)
    images, _ = load_split(Path(snakemake.input[0]).parent, "originals")
    autoencoder = open_prior(job).autoencoder
    decoder, loss = train_small_decoder(autoencoder, images, recipe, job.checkpoint, job.device)
    save_small_decoder(snakemake.output.folder, decoder)
    write_json(snakemake.output.metrics, job.stamp(loss=loss))
