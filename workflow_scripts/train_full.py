"""Train a student's architecture on all real training images, as the reference is trained."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.settings import SeenImages, TrainingSettings
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, train_to_length

with running(snakemake) as job:
    recipe, seen = job.read("training", TrainingSettings), job.read("network", SeenImages)
    folder, key = Path(snakemake.input[0]).parent, ("full", job.settings["seed"])
    train = Images.on(job.device, *job.real_images(snakemake.input[0]).split("train"), seen)
    test = Images.on(job.device, *load_split(folder, "test"), seen)
    model = build_network(seen.network(snakemake.wildcards.student), *key).to(job.device)
    result = train_to_length(model, train, test, recipe, key, job.checkpoint, "full")
    write_json(snakemake.output.metrics, job.stamp(top1=result["top1"]))
