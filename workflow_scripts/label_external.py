"""Store a teacher's labels of a folder's images."""

from pathlib import Path

from job import running
from lessons import regions_of, teacher_of

from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.data.real_images import load_unpacked_set
from lgd_core.evaluation.soft_labels import label_images, save_labels, set_digest

with running(snakemake, "label_external") as job:
    labels = job.read("labels", LabelsConfig)
    stored = load_unpacked_set(Path(snakemake.input.images).parent)
    data = regions_of(job, stored, labels.regions)
    found = label_images(teacher_of(job), data, labels)
    save_labels(snakemake.output.labels, found, set_digest(stored), job.stamp())
