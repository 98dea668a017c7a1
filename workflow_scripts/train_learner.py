"""Train the learner on the set so far."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.data.distilled import read_folder
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network, load_network, save_network
from lgd_core.networks.learner import train_to_plateau
from lgd_core.networks.training import Images, accuracy, network_shape

with running(snakemake) as job:
    recipe, facts, wildcards = job.settings["learner"], job.settings["network"], snakemake.wildcards
    folder = Path(snakemake.input[0]).parent
    data = Images.of_set(job.device, *read_folder(snakemake.input.distilled, facts), facts)
    test = Images.on(job.device, *load_split(folder, "test"), facts)
    held_out = None
    if recipe["monitor"] == "validation":
        held_out = Images.on(job.device, *load_split(folder, "validation"), facts)
    shape = network_shape(recipe["architecture"], facts)
    key = ("learner", int(wildcards.seed), int(wildcards.k))
    if snakemake.input.get("previous"):
        model = load_network(snakemake.input.previous, job.device, shape).requires_grad_(True)
    else:
        model = build_network(*shape.values(), *key).to(job.device)
    learner, curve = train_to_plateau(model, data, held_out, recipe, key, job.checkpoint)
    stamp = job.stamp(top1=accuracy(learner, test), images=len(data.labels))
    save_network(snakemake.output.learner, learner, shape, stamp)
    write_json(snakemake.output.curve, stamp | {"curve": curve})
