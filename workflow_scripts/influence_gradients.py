"""Compute the mean loss gradient of every class at every checkpoint of the surrogate."""

from pathlib import Path

from job import running

from lgd_core.chunks import Chunks
from lgd_core.data import load_split
from lgd_core.distilled import load_tensors
from lgd_core.influence import save_influence
from lgd_core.learners import build_network
from lgd_core.surrogates import checkpoint_gradients, class_rows
from lgd_core.training import Images

with running(snakemake) as job:
    recipe, facts = job.hp["influence"], job.hp["network"]
    images, labels = load_split(Path(snakemake.input[0]).parent, "train")
    checkpoints, metadata = load_tensors(snakemake.input.checkpoints)
    shape, seed = metadata["network"], recipe["surrogate"]["seed"]
    gradients = checkpoint_gradients(
        build_network(**shape).to(job.device),
        checkpoints,
        Images.on(job.device, images, labels, facts),
        class_rows(labels, shape["classes"], recipe["gradient_images"], seed),
        Chunks(snakemake.config["max_batch"]),
        job.resume,
    )
    save_influence(snakemake.output.influence, checkpoints, gradients, shape, job.stamp())
