"""Train one student on a folder's images and test it."""

from pathlib import Path

from job import running
from lessons import taught

from lgd_core.base.files import write_json
from lgd_core.config.models.protocol import ProtocolConfig
from lgd_core.config.settings import SeenImages
from lgd_core.config.stages import student_settings
from lgd_core.data.real_images import load_unpacked_set
from lgd_core.evaluation.students import train_student

with running(snakemake) as job:
    protocol = job.read("evaluation", ProtocolConfig)
    stored = load_unpacked_set(Path(snakemake.input.images).parent)
    # The protocol's epochs depend on the images per class; a class that lacks some counts as full.
    ipc = -(-len(stored.labels[0]) // job.read("network", SeenImages).classes)
    recipe = student_settings(protocol, ipc, f"protocol '{snakemake.wildcards.protocol}'")
    real, key = Path(snakemake.input[0]).parent, ("student", 0, int(snakemake.wildcards.run))
    known = snakemake.input.get("soft_labels")
    lesson = taught(job, stored, recipe, real, key, known)
    write_json(snakemake.output.run, job.stamp(**train_student(lesson), ipc=ipc))
