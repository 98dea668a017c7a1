"""Measure how fast a new network learns real training images, as many as a set has."""

import torch
from job import running

from lgd_core.analysis.difficulty import measure
from lgd_core.base.seeding import derive_seed
from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import SeenImages, WatchedSettings
from lgd_core.data.real_images import real_increment
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("difficulty", WatchedSettings), job.read("network", SeenImages)
    seed, ipc = int(snakemake.wildcards.seed), int(snakemake.wildcards.ipc)
    classes = seen.classes
    images, labels = job.real_images(snakemake.input[0]).split("train")
    # Another shuffle than that of the method `random`, so that it is compared with other images.
    rows = real_increment(labels, classes, ipc, derive_seed("difficulty", seed), 0).flatten()
    measured = measure(
        seen.network(recipe.architecture),
        Images.on(job.device, images[rows], labels[rows], seen),
        load_network(snakemake.input.reference, job.device, seen.network_input),
        recipe,
        seed,
        job.checkpoint,
    )
    places = {
        "positions": torch.arange(ipc).repeat(classes),
        "increments": torch.zeros(len(rows), dtype=torch.int64),
    }
    save_tensors(snakemake.output.samples, measured | places, job.stamp())
