"""Train the surrogate of influence guidance on real images; keep checkpoints that differ."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.tensors import save_tensors
from lgd_core.data.real_images import load_split
from lgd_core.distill.surrogates import class_rows, train_surrogate
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, network_shape

with running(snakemake) as job:
    recipe, facts = job.settings["influence"], job.settings["network"]
    surrogate = recipe["surrogate"]
    images, labels = load_split(Path(snakemake.input[0]).parent, "train")
    shape = network_shape(surrogate["architecture"], facts)
    key = ("surrogate", surrogate["seed"])
    checkpoints, curve = train_surrogate(
        build_network(*shape.values(), *key).to(job.device),
        Images.on(job.device, images, labels, facts),
        class_rows(labels, shape["classes"], recipe["gradient_images"], surrogate["seed"]),
        recipe,
        key,
        MicroBatches(snakemake.config["max_batch"]),
        job.checkpoint,
    )
    kept = [epoch + 1 for epoch, row in enumerate(curve) if row["kept"]]
    job.log(f"kept the checkpoints after epochs {kept} of {len(curve)}")
    stamp = job.stamp(epochs_kept=kept)
    save_tensors(snakemake.output.checkpoints, checkpoints, stamp | {"network": shape})
    write_json(snakemake.output.curve, stamp | {"curve": curve})
