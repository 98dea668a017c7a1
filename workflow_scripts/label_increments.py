"""Store a teacher's labels of a distilled set."""

from job import running
from lessons import regions_of, teacher_of

from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increments
from lgd_core.evaluation.soft_labels import label_images, save_labels, set_digest

with running(snakemake, "label_increments") as job:
    labels, seen = job.read("labels", LabelsConfig), job.read("network", SeenImages)
    increments = load_increments(snakemake.input.increments, seen)
    data = regions_of(job, increments, labels.regions)
    found = label_images(teacher_of(job), data, labels)
    save_labels(
        snakemake.output.labels,
        found,
        set_digest(increments),
        job.stamp(),
    )
