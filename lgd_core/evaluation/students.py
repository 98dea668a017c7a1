"""Evaluation: students trained from scratch on a set, and networks on each increment alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import Key
from lgd_core.config.settings import NetworkSpec, StudentSettings, TrainingSettings
from lgd_core.evaluation.soft_labels import StoredLabels, student_loss
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, accuracy, train_to_length


@dataclass(frozen=True)
class Lesson:
    """What a student of a distilled set learns from and is tested on, and how.

    ``data`` is the distilled set, ``test`` and ``validation`` are real images, the latter perhaps
    none. The student's weights and the order of images follow from ``key``. ``teacher`` and
    ``stored`` labels are there if the recipe asks for them.
    """

    spec: NetworkSpec
    data: Images
    test: Images
    validation: Images
    recipe: StudentSettings
    key: Key
    checkpoint: Checkpoint
    teacher: nn.Module | None = None
    stored: StoredLabels | None = None


def train_student(lesson: Lesson) -> dict[str, float | None]:
    """Train a network from scratch by the recipe; return accuracies in percent.

    Beside ``top1`` and ``best_top1`` on the test set, ``validation_top1`` after the last epoch is
    the number to choose hyperparameters by; None where no real images are held out. Stored labels
    count in ``label_bytes``; those made for every batch take none.
    """
    model = build_network(lesson.spec, *lesson.key).to(lesson.data.device)
    stored = lesson.stored and lesson.stored.to(lesson.data.device)
    result = train_to_length(
        model,
        lesson.data,
        lesson.test,
        lesson.recipe,
        lesson.key,
        lesson.checkpoint,
        "student",
        student_loss(lesson.recipe, lesson.teacher, stored),
    )
    held_out = lesson.validation
    validation = accuracy(model, held_out) if len(held_out.labels) else None
    return {**result, "validation_top1": validation, "label_bytes": stored.bytes if stored else 0}


def cross_accuracies(
    spec: NetworkSpec,
    increments: Sequence[Images],
    recipe: TrainingSettings,
    key: Key,
    checkpoint: Checkpoint,
) -> list[list[float]]:
    """Return the K x K matrix of accuracies in percent: trained on increment i, tested on j."""
    matrix = (checkpoint.load("matrix", "matrix") or {"matrix": []})["matrix"]
    for i in range(len(matrix), len(increments)):
        name, own = f"increment {i + 1} of {len(increments)}", checkpoint.part(f"increment{i}")
        model = build_network(spec, *key, i).to(increments[i].device)
        train_to_length(model, increments[i], increments[i], recipe, (*key, i), own, name)
        matrix.append([accuracy(model, other) for other in increments])
        checkpoint.save("matrix", {"matrix": matrix})
        own.clear()
    return matrix
