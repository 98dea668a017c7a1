"""Keep the best candidate of every position, over all shards."""

import torch
from job import running

from lgd_core.candidates import increment_of
from lgd_core.distilled import load_tensors, save_tensors
from lgd_core.methods import formation

with running(snakemake) as job:
    shards = [load_tensors(path) for path in snakemake.input]
    labels = [label for _, metadata in shards for label in metadata["labels"]]
    candidates = {
        name: torch.cat([tensors[name] for tensors, _ in shards]) for name in shards[0][0]
    }
    sampled = shards[0][1]
    stamp = job.stamp(
        sampling=sampled["recipe"],
        sampled_on=sampled["hardware"],
        formation=formation(sampled["recipe"]["method"]),
    )
    save_tensors(snakemake.output.increment, increment_of(candidates, labels), stamp)
