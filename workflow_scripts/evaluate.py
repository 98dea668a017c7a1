"""Train one student on a distilled set and test it."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.data.distilled import read_folder
from lgd_core.data.real_images import load_split
from lgd_core.evaluation.students import train_student
from lgd_core.networks.training import Images, network_shape

with running(snakemake) as job:
    facts, wildcards = job.settings["network"], snakemake.wildcards
    folder = Path(snakemake.input[0]).parent
    result = train_student(
        network_shape(wildcards.student, facts),
        Images.of_set(job.device, *read_folder(snakemake.input.distilled, facts), facts),
        Images.on(job.device, *load_split(folder, "test"), facts),
        Images.on(job.device, *load_split(folder, "validation"), facts),
        job.settings["evaluation"],
        ("student", int(wildcards.seed), int(wildcards.run)),
        job.checkpoint,
    )
    write_json(snakemake.output.run, job.stamp(**result))
