"""Train the reference model on all real training images."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.models.dataset import ReferenceConfig
from lgd_core.config.settings import SeenImages, TrainingSettings
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network, save_network
from lgd_core.networks.training import Images, train_to_length

with running(snakemake) as job:
    recipe, seen = job.read("reference", ReferenceConfig), job.read("network", SeenImages)
    folder = Path(snakemake.input[0]).parent
    train = Images.on(job.device, *load_split(folder, "train"), seen)
    test = Images.on(job.device, *load_split(folder, "test"), seen)
    spec, key = seen.network(recipe.architecture), ("reference", recipe.seed)
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
    stamp = job.stamp(**result, protocol="reference")
    save_network(snakemake.output.model, model, spec, stamp)
    write_json(snakemake.output.metrics, stamp)
