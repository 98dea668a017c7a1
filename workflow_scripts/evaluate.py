"""Train one student on a distilled set and test it."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.settings import SeenImages, StudentSettings
from lgd_core.data.distilled import load_increments
from lgd_core.data.real_images import load_split
from lgd_core.evaluation.students import Lesson, train_student
from lgd_core.networks.training import Images

with running(snakemake) as job:
    seen, wildcards = job.read("network", SeenImages), snakemake.wildcards
    folder = Path(snakemake.input[0]).parent
    lesson = Lesson(
        seen.network(wildcards.student),
        Images.of_set(job.device, *load_increments(snakemake.input.increments, seen), seen),
        Images.on(job.device, *load_split(folder, "test"), seen),
        Images.on(job.device, *load_split(folder, "validation"), seen),
        job.read("evaluation", StudentSettings),
        ("student", int(wildcards.seed), int(wildcards.run)),
        job.checkpoint,
    )
    write_json(snakemake.output.run, job.stamp(**train_student(lesson)))
