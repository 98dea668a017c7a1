"""Train one student on a distilled set and test it."""

from pathlib import Path

from job import running
from lessons import taught

from lgd_core.base.files import write_json
from lgd_core.config.settings import SeenImages, StudentSettings
from lgd_core.data.distilled import load_increments
from lgd_core.evaluation.students import train_student

with running(snakemake) as job:
    seen, wildcards = job.read("network", SeenImages), snakemake.wildcards
    lesson = taught(
        job,
        load_increments(snakemake.input.increments, seen),
        job.read("evaluation", StudentSettings),
        Path(snakemake.input[0]).parent,
        ("student", int(wildcards.seed), int(wildcards.run)),
        snakemake.input.get("soft_labels"),
    )
    write_json(snakemake.output.run, job.stamp(**train_student(lesson)))
