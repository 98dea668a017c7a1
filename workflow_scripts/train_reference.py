"""Train the reference model on all real training images, or read weights of it."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.base.listings import Reading
from lgd_core.config.models.dataset import ReferenceConfig
from lgd_core.config.settings import SeenImages, TrainingSettings
from lgd_core.config.weights import list_weights
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network, save_network
from lgd_core.networks.pretrained import load_pretrained
from lgd_core.networks.training import Images, accuracy, train_to_length

with running(snakemake) as job:
    recipe = ReferenceConfig.model_validate(snakemake.params.reference)
    seen, folder = job.read("network", SeenImages), Path(snakemake.input[0]).parent
    test = Images.on(job.device, *load_split(folder, "test"), seen)
    spec, key = seen.network(recipe.architecture), ("reference", recipe.seed)
    listing = list_weights(recipe, f"config/datasets/{snakemake.wildcards.dataset}.yaml")
    facts = {}
    if listing:
        reading, (path,) = Reading(listing), listing.files.values()
        model = load_pretrained(path, spec, job.settings["reference"]["indices"]).to(job.device)
        facts = reading.note(snakemake.params.weights, job.settings, snakemake.params.record)
        top1 = accuracy(model, test)
        result = {"top1": top1, "best_top1": top1}
    else:
        train = Images.on(job.device, *job.real_images(snakemake.input[0]).split("train"), seen)
        model = build_network(spec, *key).to(job.device)
        protocol = TrainingSettings(
            epochs=recipe.epochs,
            batch=recipe.batch,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            cutmix=False,
            evaluations=recipe.evaluations,
        )
        result = train_to_length(model, train, test, protocol, key, job.checkpoint, "reference")
    stamp = job.stamp(**result, **facts, protocol="reference")
    save_network(snakemake.output.model, model, spec, stamp)
    write_json(snakemake.output.metrics, stamp)
