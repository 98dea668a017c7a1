"""Train one student on a folder's images and test it."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.methods import epochs_for_ipc
from lgd_core.data.real_images import load_set, load_split
from lgd_core.evaluation.students import train_student
from lgd_core.networks.training import Images, network_shape

with running(snakemake) as job:
    facts, recipe = job.settings["network"], job.settings["evaluation"]
    images, labels = load_set(Path(snakemake.input.images).parent)
    real = Path(snakemake.input[0]).parent
    # The protocol's epochs depend on the images per class; a class that lacks some counts as full.
    ipc = -(-len(labels) // len(facts["classes"]))
    result = train_student(
        network_shape(snakemake.wildcards.student, facts),
        Images.on(job.device, images, labels, facts),
        Images.on(job.device, *load_split(real, "test"), facts),
        Images.on(job.device, *load_split(real, "validation"), facts),
        recipe | {"epochs": epochs_for_ipc(recipe["epochs"], ipc)},
        ("student", 0, int(snakemake.wildcards.run)),
        job.checkpoint,
    )
    write_json(snakemake.output.run, job.stamp(**result, ipc=ipc))
