"""Evaluation: students trained from scratch on a set, and networks on each increment alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import Key
from lgd_core.config.protocols import protocols
from lgd_core.config.settings import NetworkSpec, StudentSettings, TrainingSettings
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, accuracy, train_to_length


@dataclass(frozen=True)
class Lesson:
    """What a student of a distilled set learns from and is tested on, and how.

    ``data`` is the distilled set, ``test`` and ``validation`` are real images, the latter perhaps
    none. The student's weights and the order of images follow from ``key``.
    """

    spec: NetworkSpec
    data: Images
    test: Images
    validation: Images
    recipe: StudentSettings
    key: Key
    checkpoint: Checkpoint


def train_student(lesson: Lesson) -> dict[str, float | None]:
    """Train a network from scratch by the recipe's protocol; return accuracies in percent.

    Beside ``top1`` and ``best_top1`` on the test set, ``validation_top1`` after the last epoch is
    the number to choose hyperparameters by; None where no real images are held out.
    """
    return protocols()[lesson.recipe.protocol].train(lesson)


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
