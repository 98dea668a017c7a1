"""Train the learner on the set so far."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.models.method import LearnerConfig
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increments
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network, load_network, save_network
from lgd_core.networks.learner import train_to_plateau
from lgd_core.networks.training import Images, accuracy

with running(snakemake) as job:
    recipe, seen = job.read("learner", LearnerConfig), job.read("network", SeenImages)
    folder = Path(snakemake.input[0]).parent
    data = Images.of_parts(job.device, *load_increments(snakemake.input.increments, seen), seen)
    test = Images.on(job.device, *load_split(folder, "test"), seen)
    held_out = None
    if recipe.monitor == "validation":
        held_out = Images.on(job.device, *load_split(folder, "validation"), seen)
    spec = seen.network(recipe.architecture)
    key = ("learner", int(snakemake.wildcards.seed), int(snakemake.wildcards.k))
    if snakemake.input.get("previous"):
        model = load_network(snakemake.input.previous, job.device, spec).requires_grad_(True)
    else:
        model = build_network(spec, *key).to(job.device)
    learner, curve = train_to_plateau(model, data, held_out, recipe, key, job.checkpoint)
    stamp = job.stamp(top1=accuracy(learner, test), images=len(data.labels))
    save_network(snakemake.output.learner, learner, spec, stamp)
    write_json(snakemake.output.curve, stamp | {"curve": curve})
