"""Train the surrogate of influence guidance on real images; keep checkpoints that differ."""

from job import running

from lgd_core.base.files import write_json
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.tensors import save_tensors
from lgd_core.config.models.dataset import ClassGradientsConfig
from lgd_core.config.settings import SeenImages
from lgd_core.distill.surrogates import class_rows, train_surrogate
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("influence", ClassGradientsConfig), job.read("network", SeenImages)
    surrogate = recipe.surrogate
    images, labels = job.real_images(snakemake.input[0]).split("train")
    spec, key = seen.network(surrogate.architecture), ("surrogate", surrogate.seed)
    checkpoints, curve = train_surrogate(
        build_network(spec, *key).to(job.device),
        Images.on(job.device, images, labels, seen),
        class_rows(labels, spec.classes, recipe.gradient_images, surrogate.seed),
        recipe,
        key,
        MicroBatches(snakemake.config["max_batch"]),
        job.checkpoint,
    )
    kept = [epoch + 1 for epoch, row in enumerate(curve) if row["kept"]]
    job.log(f"kept the checkpoints after epochs {kept} of {len(curve)}")
    stamp = job.stamp(epochs_kept=kept)
    save_tensors(snakemake.output.checkpoints, checkpoints, stamp | {"network": spec.entries()})
    write_json(snakemake.output.curve, stamp | {"curve": curve})
