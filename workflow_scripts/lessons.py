"""What the jobs have in common that train students, and those that label sets for them."""

from pathlib import Path

from job import Job, paths_of
from torch import nn

from lgd_core.base.seeding import Key
from lgd_core.config.settings import SeenImages, StudentSettings
from lgd_core.data.distilled import StoredSet
from lgd_core.data.real_images import load_split
from lgd_core.evaluation.soft_labels import load_labels, set_digest
from lgd_core.evaluation.students import Lesson
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images


def regions_of(job: Job, stored: StoredSet, regions: int) -> Images:
    """Return a set's images as students see them, each cut into ``regions`` x ``regions``."""
    seen, cut = job.read("network", SeenImages), stored._replace(factor=stored.factor * regions)
    return Images.of_parts(job.device, cut, seen)


def teacher_of(job: Job) -> nn.Module:
    """Return the network that labels images, an input of the rule."""
    seen = job.read("network", SeenImages)
    # One file, or a list of one where an input function has named it.
    (path,) = paths_of(job.snakemake.input.teacher)
    return load_network(path, job.device, seen.network_input)


def taught(
    job: Job, stored: StoredSet, recipe: StudentSettings, real: Path, key: Key, labels: str | None
) -> Lesson:
    """Return what a student of a set learns, from its stored ``labels`` if the protocol has any.

    ``real`` is the folder of the data set's arrays, ``key`` that of the student's randomness.
    """
    seen = job.read("network", SeenImages)
    data = regions_of(job, stored, recipe.labels.regions)
    return Lesson(
        spec=seen.network(job.snakemake.wildcards.student),
        data=data,
        test=Images.on(job.device, *load_split(real, "test"), seen),
        validation=Images.on(job.device, *load_split(real, "validation"), seen),
        recipe=recipe,
        key=key,
        checkpoint=job.checkpoint,
        teacher=teacher_of(job) if job.snakemake.input.get("teacher") else None,
        stored=load_labels(labels, set_digest(stored)) if labels else None,
    )
