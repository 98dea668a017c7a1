"""Train the reference model on all real training images."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.data.real_images import load_split
from lgd_core.networks.classifiers import build_network, save_network
from lgd_core.networks.training import Images, network_shape, train_to_length

with running(snakemake) as job:
    recipe, facts = job.settings["reference"], job.settings["network"]
    folder = Path(snakemake.input[0]).parent
    train = Images.on(job.device, *load_split(folder, "train"), facts)
    test = Images.on(job.device, *load_split(folder, "test"), facts)
    shape = network_shape(recipe["architecture"], facts)
    key = ("reference", recipe["seed"])
    model = build_network(*shape.values(), *key).to(job.device)
    protocol = recipe | {"cutmix": False}
    result = train_to_length(model, train, test, protocol, key, job.checkpoint, "reference")
    stamp = job.stamp(**result, protocol="reference")
    save_network(snakemake.output.model, model, shape, stamp)
    write_json(snakemake.output.metrics, stamp)
