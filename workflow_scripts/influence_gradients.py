"""Compute the mean loss gradient of every class at every checkpoint of the surrogate."""

from job import running

from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.tensors import load_tensors
from lgd_core.config.models.dataset import ClassGradientsConfig
from lgd_core.config.settings import SeenImages
from lgd_core.distill.influence import check_checkpoints, save_influence
from lgd_core.distill.surrogates import checkpoint_gradients, class_rows
from lgd_core.networks.classifiers import rebuild
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("influence", ClassGradientsConfig), job.read("network", SeenImages)
    images, labels = job.real_images(snakemake.input[0]).split("train")
    path, surrogate = snakemake.input.checkpoints, recipe.surrogate
    spec = seen.network(surrogate.architecture)
    checkpoints, metadata = load_tensors(path)
    network = rebuild(path, metadata, spec)
    check_checkpoints(path, network, checkpoints)
    gradients = checkpoint_gradients(
        network.to(job.device),
        checkpoints,
        Images.on(job.device, images, labels, seen),
        class_rows(labels, spec.classes, recipe.gradient_images, surrogate.seed),
        MicroBatches(snakemake.config["max_batch"]),
        job.checkpoint,
    )
    save_influence(snakemake.output.influence, checkpoints, gradients, spec, job.stamp())
