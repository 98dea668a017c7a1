"""Train a latent diffusion transformer from scratch."""

from pathlib import Path

import torch
from job import running

from lgd_core.base.files import atomic, write_json
from lgd_core.config.models.dataset import TrainedPriorConfig
from lgd_core.config.settings import SeenImages
from lgd_core.data.real_images import load_split
from lgd_core.diffusion.prior_training import save_prior, train_autoencoder, train_transformer
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import preprocessor

with running(snakemake) as job:
    recipe, seen = job.read("train", TrainedPriorConfig), job.read("network", SeenImages)
    images, labels = load_split(Path(snakemake.input[0]).parent, "originals")
    reference = load_network(snakemake.input.reference, job.device, seen.network_input)
    features = torch.nn.Sequential(preprocessor(seen).to(job.device), *reference.children())
    autoencoder, autoencoder_loss = train_autoencoder(
        images, recipe.autoencoder, recipe.seed, features, job.checkpoint, job.device
    )
    autoencoder.requires_grad_(False)
    transformer, transformer_loss = train_transformer(
        autoencoder,
        images,
        labels,
        seen.classes,
        recipe.transformer,
        recipe.seed,
        job.checkpoint,
        job.device,
    )
    with atomic(snakemake.output.folder) as temporary:
        save_prior(str(temporary), transformer, autoencoder, job.settings["names"])
    write_json(
        snakemake.output.metrics,
        job.stamp(
            autoencoder_loss=autoencoder_loss,
            transformer_loss=transformer_loss,
        ),
    )
