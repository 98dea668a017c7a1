"""Train the learner on the set so far: to the plateau, or by a protocol."""

from pathlib import Path

from job import Job, running
from lessons import regions_of, teacher_of
from torch import nn

from lgd_core.base.files import write_json
from lgd_core.base.seeding import Key
from lgd_core.config.models.method import LearnerConfig
from lgd_core.config.settings import SeenImages, TaughtSettings
from lgd_core.data.distilled import StoredSet, load_increments
from lgd_core.data.real_images import load_split
from lgd_core.evaluation.soft_labels import taught_loss
from lgd_core.networks.classifiers import build_network, load_network, save_network
from lgd_core.networks.learner import Epoch, train_by_protocol, train_to_plateau
from lgd_core.networks.training import Images, accuracy

# A learner, its curve, and the number of images of an epoch.
Trained = tuple[nn.Module, list[Epoch], int]


def to_plateau(
    job: Job, recipe: LearnerConfig, stored: StoredSet, real: Path, model: nn.Module, key: Key
) -> Trained:
    """Train the learner to the plateau; ``real`` is the folder of the data set's arrays."""
    seen, held_out = job.read("network", SeenImages), None
    data = Images.of_parts(job.device, stored, seen)
    if recipe.monitor == "validation":
        held_out = Images.on(job.device, *load_split(real, "validation"), seen)
    found = train_to_plateau(model, data, held_out, recipe, key, job.checkpoint)
    return *found, len(data.labels)


def by_protocol(
    job: Job, recipe: TaughtSettings, stored: StoredSet, model: nn.Module, key: Key
) -> Trained:
    """Train the learner by a protocol, whose teacher is an input of the rule if it has one."""
    data = regions_of(job, stored, recipe.lesson.labels.regions)
    teacher = teacher_of(job) if job.snakemake.input.get("teacher") else None
    loss_on = taught_loss(recipe.lesson, teacher, data)
    found = train_by_protocol(model, data, recipe, loss_on, key, job.checkpoint)
    return *found, len(data.labels)


with running(snakemake) as job:
    seen, folder = job.read("network", SeenImages), Path(snakemake.input[0]).parent
    stored = load_increments(snakemake.input.increments, seen)
    test = Images.on(job.device, *load_split(folder, "test"), seen)
    taught = "protocol" in job.settings["learner"]
    recipe = job.read("learner", TaughtSettings if taught else LearnerConfig)
    spec = seen.network(recipe.architecture)
    key = ("learner", int(snakemake.wildcards.seed), int(snakemake.wildcards.k))
    if snakemake.input.get("previous"):
        model = load_network(snakemake.input.previous, job.device, spec).requires_grad_(True)
    else:
        model = build_network(spec, *key).to(job.device)
    if taught:
        learner, curve, images = by_protocol(job, recipe, stored, model, key)
    else:
        learner, curve, images = to_plateau(job, recipe, stored, folder, model, key)
    stamp = job.stamp(top1=accuracy(learner, test), images=images)
    save_network(snakemake.output.learner, learner, spec, stamp)
    write_json(snakemake.output.curve, stamp | {"curve": curve})
