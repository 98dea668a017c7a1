"""Measure how fast a new network learns each of as many real training images."""

from pathlib import Path

import torch
from job import running

from lgd_core.analysis.difficulty import measure
from lgd_core.base.seeding import derive_seed
from lgd_core.base.tensors import save_tensors
from lgd_core.data.real_images import load_split, real_increment
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images, network_input, network_shape

with running(snakemake) as job:
    recipe, facts, wildcards = (
        job.settings["difficulty"],
        job.settings["network"],
        snakemake.wildcards,
    )
    seed, ipc, classes = int(wildcards.seed), int(wildcards.ipc), len(facts["classes"])
    images, labels = load_split(Path(snakemake.input[0]).parent, "train")
    # A shuffle of its own: the method `random` shall not be compared with its own images.
    rows = real_increment(labels, classes, ipc, derive_seed("difficulty", seed), 0).flatten()
    measured = measure(
        network_shape(recipe["architecture"], facts),
        Images.on(job.device, images[rows], labels[rows], facts),
        load_network(snakemake.input.reference, job.device, network_input(facts)),
        recipe,
        seed,
        job.checkpoint,
    )
    places = {
        "positions": torch.arange(ipc).repeat(classes),
        "increments": torch.zeros(len(rows), dtype=torch.int64),
    }
    save_tensors(snakemake.output.samples, measured | places, job.stamp())
