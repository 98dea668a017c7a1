"""Watch a new network's belief in a distilled set's labels while it learns them."""

import torch
from job import running

from lgd_core.difficulty import measure
from lgd_core.distilled import load_increment, save_tensors
from lgd_core.learners import load_network
from lgd_core.training import Images, network_input, network_shape

with running(snakemake) as job:
    recipe, facts = job.hp["difficulty"], job.hp["network"]
    size = job.hp["ipc_per_increment"]
    increments = [load_increment(path, facts, size)[0] for path in snakemake.input.increments]
    images, labels, positions = (
        torch.cat([part[name] for part in increments]) for name in ("images", "labels", "positions")
    )
    measured = measure(
        network_shape(recipe["architecture"], facts),
        Images.on(job.device, images, labels, facts),
        load_network(snakemake.input.reference, job.device, network_input(facts)),
        recipe,
        int(snakemake.wildcards.seed),
        job.resume,
    )
    counts = torch.tensor([len(part["labels"]) for part in increments])
    places = {
        "positions": positions,
        "increments": torch.arange(len(increments)).repeat_interleave(counts),
    }
    save_tensors(snakemake.output.samples, measured | places, job.stamp())
