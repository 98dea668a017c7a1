"""What a stage reads of the recipes: the settings that decide its result, and no others.

Snakemake runs a job again when its settings change, so that these functions decide what an edit
repeats. A key that does not act, such as the keys of a guidance of strength 0, is left out.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from lgd_core.base.digests import fingerprint
from lgd_core.base.errors import UserError
from lgd_core.config.classes import imagenet_indices
from lgd_core.config.divisions import class_runs, phase_count
from lgd_core.config.kinds import choice_kinds, image_sources
from lgd_core.config.methods import batch_for_ipc, epochs_for_ipc, needs
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.models.method import FinetuneConfig, LearnerConfig, MethodConfig
from lgd_core.config.models.protocol import EvaluationsConfig, ProtocolConfig
from lgd_core.config.plain import is_mapping, is_sequence
from lgd_core.config.settings import (
    AloneSettings,
    ChoiceSettings,
    ClassNames,
    DrawSettings,
    DynamicsSettings,
    SeedSettings,
    SeenImages,
    SourceSettings,
    StoredImages,
    StudentSettings,
    TaughtSettings,
    TrainingSettings,
    WatchedSettings,
)

Value = TypeVar("Value")


def canonical(value: object) -> Any:
    """Return settings as plain values, the keys of all mappings in order.

    Snakemake compares their text.
    """
    if isinstance(value, BaseModel):
        return canonical(value.model_dump())
    if is_mapping(value):
        return {key: canonical(value[key]) for key in sorted(value, key=str)}
    if is_sequence(value):
        return [canonical(item) for item in value]
    return value


def recipe_fingerprint(origins: Mapping[str, MethodConfig]) -> str:
    """Return a hex digest of all keys of a method's origins, apart from their descriptions.

    ``origins`` are those of Recipes.origins: the method and those that its images come from.
    """
    return fingerprint(
        {name: canonical(m.model_copy(update={"description": ""})) for name, m in origins.items()}
    )


def source_settings(dataset: DatasetConfig) -> SourceSettings:
    """Return what arrays of a data set are made of; wnids stand for names where there are any."""
    return SourceSettings(
        classes=dataset.class_ids,
        wnids=dataset.wnids,
        image=dataset.image,
        source=dataset.source,
    )


def seen_images(dataset: DatasetConfig) -> SeenImages:
    """Return what the images of a data set look like to networks."""
    return SeenImages(
        classes=len(dataset.classes), image=dataset.image, normalise=dataset.normalise
    )


def class_names(dataset: DatasetConfig) -> ClassNames:
    """Return what the classes of a data set are called."""
    return ClassNames(names=dataset.class_names, wnids=dataset.wnids)


def stored_images(dataset: DatasetConfig) -> StoredImages:
    """Return what the images of a data set's increments look like on disk."""
    image = StoredImageConfig(size=dataset.image.size, channels=dataset.image.channels)
    return StoredImages(classes=len(dataset.classes), image=image)


def trained_images(dataset: DatasetConfig) -> SeenImages:
    """Return what training on a data set's images needs to know of them."""
    return seen_images(dataset).model_copy(update={"augment": dataset.augment})


def drawn_images(dataset: DatasetConfig, method: MethodConfig) -> SeenImages:
    """Return what a method's increments need to know of a data set's images."""
    trains = bool(image_sources()[method.source].architectures(method))
    return trained_images(dataset) if trains else seen_images(dataset)


def draw_settings(method: MethodConfig, increment: int) -> DrawSettings:
    """Return what decides the candidates of an increment."""
    scored = "learner" in needs(method, increment)
    return DrawSettings(
        source=method.source,
        ipc_per_increment=method.ipc_per_increment,
        keys=image_sources()[method.source].settings(method, increment),
        reference_weight=method.learnability.reference_weight if scored else None,
    )


def choice_settings(method: MethodConfig) -> ChoiceSettings | None:
    """Return what chooses among candidates; None where learnability does, which has no keys."""
    if method.select == "learnability":
        return None
    model = choice_kinds()[method.select].settings
    return ChoiceSettings(select=method.select, keys=model and method.section(model))


def trace_settings(method: MethodConfig, increment: int) -> DrawSettings:
    """Return what decides the trace of an increment: one candidate, scored in any case."""
    settings, weight = draw_settings(method, increment), method.learnability.reference_weight
    one = settings.keys.model_copy(
        update={"candidates": 1, "real_candidates": 0, "select": "learnability"}
    )
    return settings.model_copy(update={"keys": one, "reference_weight": weight})


def seed_settings(method: MethodConfig) -> SeedSettings:
    """Return what decides what a method's increment 0 looks like."""
    source = method.seed.source
    return SeedSettings(
        source=source,
        ipc_per_increment=method.ipc_per_increment,
        draw=draw_settings(method, 0) if source == "own" else None,
        choice=choice_settings(method) if source == "own" else None,
        sampler=method.sampler if source == "prior" else None,
        through_autoencoder=method.through_autoencoder if source in ("real", "folder") else None,
    )


def protocol_on(protocol: ProtocolConfig, dataset: DatasetConfig) -> ProtocolConfig:
    """Return what acts of a protocol, with what it leaves to the data set filled in."""
    own, optimiser, times = dataset.evaluation, protocol.optimiser, protocol.evaluations
    timed = protocol.steps is not None
    spread = times.every is None and times.count is None
    return protocol.model_copy(
        update={
            "description": "",
            "epochs": None if timed else _or(protocol.epochs, own.epochs),
            "batch": _or(protocol.batch, own.batch),
            "cutmix": _or(protocol.cutmix, own.cutmix),
            "augment": _or(protocol.augment, dataset.augment),
            "evaluations": times.model_copy(
                update={"count": own.evaluations if spread else times.count}
            ),
            "optimiser": optimiser.model_copy(
                update={
                    "lr": _or(optimiser.lr, own.lr),
                    "weight_decay": _or(optimiser.weight_decay, own.weight_decay),
                }
            ),
        }
    )


def _or(value: Value | None, other: Value) -> Value:
    return other if value is None else value


def student_settings(protocol: ProtocolConfig, ipc: int, where: str) -> StudentSettings:
    """Return how a student learns a set of ``ipc`` images per class by a protocol of protocol_on.

    Raises UserError, for ``where``, if the protocol has no batch for that many.
    """
    batch, optimiser, times = protocol.batch, protocol.optimiser, protocol.evaluations
    if isinstance(batch, dict):
        if ipc not in batch:
            known = ", ".join(map(str, sorted(batch)))
            raise UserError(
                f"{where}: batch: found none for {ipc} images per class, expected a batch for "
                f"that many beside those for {known}"
            )
        batch = batch[ipc]
    epochs = None if protocol.epochs is None else epochs_for_ipc(protocol.epochs, ipc)
    # Validated, since what protocol_on has filled in may be None to a type checker.
    return StudentSettings.model_validate(
        {
            "epochs": epochs,
            "steps": protocol.steps,
            "batch": batch,
            "lr": optimiser.lr,
            "weight_decay": optimiser.weight_decay,
            "optimiser": optimiser.name,
            "decayed": optimiser.decayed,
            "schedule": protocol.schedule,
            "cutmix": protocol.cutmix,
            "evaluations": times.count,
            "every": times.every,
            "after": times.after,
            "labels": protocol.labels,
            "shuffle": protocol.shuffle,
        }
    )


def learner_lesson(protocol: ProtocolConfig, ipc: int) -> StudentSettings:
    """Return how a learner trains on ``ipc`` images per class by a protocol of protocol_on.

    As a student does, but with a batch for every amount, and without evaluations, since a learner
    is tested once, as it is in the end.
    """
    batch = protocol.batch
    if isinstance(batch, dict):
        batch = batch_for_ipc(batch, ipc)
    changes = {"batch": batch, "evaluations": EvaluationsConfig()}
    return student_settings(protocol.model_copy(update=changes), ipc, "learner.protocol")


def learner_settings(learner: LearnerConfig, lesson: StudentSettings | None) -> dict[str, Any]:
    """Return what acts of a learner's keys: with a lesson that of its protocol, else the others."""
    if learner.protocol is None or lesson is None:
        return learner.model_dump(exclude={"protocol"})
    return TaughtSettings(
        architecture=learner.architecture,
        ema_decay=learner.ema_decay,
        protocol=learner.protocol,
        lesson=lesson,
    ).model_dump()


def images_trained_on(lesson: StudentSettings, size: int) -> int:
    """Return the images that a student sees in training on a set of ``size`` images."""
    size *= lesson.labels.regions**2
    if lesson.steps is None:
        return (lesson.epochs or 0) * size
    epochs, steps = divmod(lesson.steps, -(-size // lesson.batch))
    return epochs * size + steps * lesson.batch


def student_images(dataset: DatasetConfig, protocol: ProtocolConfig) -> SeenImages:
    """Return what a protocol of protocol_on shows students of a data set's images."""
    return seen_images(dataset).model_copy(update={"augment": protocol.augment})


def phase_settings(
    dataset: DatasetConfig, recipe: FinetuneConfig, phase: int, phases: int
) -> dict[str, Any]:
    """Return what decides one of the phases in which a data set's prior is tuned.

    Raises UserError if there is no such phase.
    """
    classes = len(dataset.classes)
    if not phase < phases <= classes:
        raise UserError(
            f"finetune_prior: found phase {phase} of {phases}, expected one of 0 to "
            f"{min(phases, classes) - 1}, and at most {classes} phases"
        )
    labels = class_runs(classes, phases)[phase]
    told = dataset.prior.labels or range(classes)
    return {
        "finetune": recipe.model_dump(exclude={"classes_per_phase"}),
        "labels": labels,
        "prior_labels": [told[label] for label in labels],
        "flip": dataset.augment.flip,
    }


def images_tuned_on(recipe: FinetuneConfig, classes: int) -> int:
    """Return the images that all phases of tuning a prior see."""
    return phase_count(classes, recipe.classes_per_phase) * recipe.steps * recipe.batch


def reference_settings(dataset: DatasetConfig) -> dict[str, Any]:
    """Return what decides the reference model beside its images or its file of weights."""
    reference, keys = dataset.reference, {"weights"}
    if reference.weights is None:
        return reference.model_dump(exclude=keys)
    indices = [imagenet_indices()[wnid] for wnid in dataset.wnids]
    return {"architecture": reference.architecture, "indices": indices}


def redundancy_settings(dataset: DatasetConfig) -> AloneSettings:
    """Return the protocol of a network that is trained on one increment alone."""
    keys = dataset.evaluation.model_dump(include={"batch", "lr", "weight_decay", "cutmix"})
    return AloneSettings(**keys | dataset.redundancy.model_dump(), evaluations=1)


def real_training(dataset: DatasetConfig) -> TrainingSettings:
    """Return how networks like the reference train on all real images, tested at the end."""
    keys = dataset.reference.model_dump(include={"epochs", "batch", "lr", "weight_decay"})
    return TrainingSettings(**keys, cutmix=False, evaluations=None)


def dynamics_settings(dataset: DatasetConfig) -> DynamicsSettings:
    """Return the protocol of the networks whose learning of every real image is scored."""
    own = dataset.dynamics
    return DynamicsSettings(
        architecture=own.architecture or dataset.reference.architecture,
        seed=own.seed,
        networks=own.networks,
        early=own.early,
        training=real_training(dataset),
    )


def difficulty_settings(dataset: DatasetConfig) -> WatchedSettings:
    """Return the protocol of the network that is watched while it learns the labels of images."""
    keys = dataset.evaluation.model_dump(include={"batch", "lr", "weight_decay"})
    architecture = dataset.redundancy.architecture
    return WatchedSettings(**keys, architecture=architecture, epochs=dataset.difficulty.epochs)
