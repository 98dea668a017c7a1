"""Train one student on a folder's images and test it."""

from pathlib import Path

from job import running

from lgd_core.base.files import write_json
from lgd_core.config.models.dataset import ProtocolConfig
from lgd_core.config.settings import SeenImages
from lgd_core.config.stages import student_settings
from lgd_core.data.real_images import load_set, load_split
from lgd_core.evaluation.students import Lesson, train_student
from lgd_core.networks.training import Images

with running(snakemake) as job:
    seen, protocol = job.read("network", SeenImages), job.read("evaluation", ProtocolConfig)
    images, labels = load_set(Path(snakemake.input.images).parent)
    real = Path(snakemake.input[0]).parent
    # The protocol's epochs depend on the images per class, here the mean over classes, rounded up.
    ipc = -(-len(labels) // seen.classes)
    lesson = Lesson(
        seen.network(snakemake.wildcards.student),
        Images.on(job.device, images, labels, seen),
        Images.on(job.device, *load_split(real, "test"), seen),
        Images.on(job.device, *load_split(real, "validation"), seen),
        student_settings(protocol, ipc),
        ("student", 0, int(snakemake.wildcards.run)),
        job.checkpoint,
    )
    write_json(snakemake.output.run, job.stamp(**train_student(lesson), ipc=ipc))
