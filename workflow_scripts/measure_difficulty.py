"""Measure how fast a new network learns each image of a distilled set."""

import torch
from job import running

from lgd_core.analysis.difficulty import measure
from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import SeenImages, WatchedSettings
from lgd_core.data.distilled import StoredSet, load_increment
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("difficulty", WatchedSettings), job.read("network", SeenImages)
    size = job.settings["ipc_per_increment"]
    read = [load_increment(path, seen, size) for path in snakemake.input.increments]
    increments, metadata = zip(*read, strict=True)
    images, labels, positions = (
        [part[name] for part in increments] for name in ("images", "labels", "positions")
    )
    factor = metadata[0]["formation"]
    measured = measure(
        seen.network(recipe.architecture),
        Images.of_parts(job.device, StoredSet(images, labels, factor), seen),
        load_network(snakemake.input.reference, job.device, seen.network_input),
        recipe,
        int(snakemake.wildcards.seed),
        job.checkpoint,
    )
    counts = torch.tensor([len(part) for part in labels])
    places = {
        "positions": torch.cat(positions).repeat_interleave(factor**2),
        "increments": torch.arange(len(increments)).repeat_interleave(counts * factor**2),
    }
    save_tensors(snakemake.output.samples, measured | places, job.stamp())
