"""Compute the mean loss gradient of every class at every checkpoint of the surrogate."""

from pathlib import Path

from job import running

from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.tensors import load_tensors
from lgd_core.data.real_images import load_split
from lgd_core.distill.influence import check_checkpoints, save_influence
from lgd_core.distill.surrogates import checkpoint_gradients, class_rows
from lgd_core.networks.classifiers import rebuild
from lgd_core.networks.training import Images, network_shape

with running(snakemake) as job:
    recipe, facts = job.settings["influence"], job.settings["network"]
    images, labels = load_split(Path(snakemake.input[0]).parent, "train")
    path, surrogate = snakemake.input.checkpoints, recipe["surrogate"]
    shape, seed = network_shape(surrogate["architecture"], facts), surrogate["seed"]
    checkpoints, metadata = load_tensors(path)
    network = rebuild(path, metadata, shape)
    check_checkpoints(path, network, checkpoints)
    gradients = checkpoint_gradients(
        network.to(job.device),
        checkpoints,
        Images.on(job.device, images, labels, facts),
        class_rows(labels, shape["classes"], recipe["gradient_images"], seed),
        MicroBatches(snakemake.config["max_batch"]),
        job.checkpoint,
    )
    save_influence(snakemake.output.influence, checkpoints, gradients, shape, job.stamp())
