"""Students that learn the class labels of a distilled set, to a fixed number of epochs."""

from typing import TYPE_CHECKING

from lgd_core.config.protocols import Protocol

if TYPE_CHECKING:
    from lgd_core.evaluation.students import Lesson


def train(lesson: "Lesson") -> dict[str, float | None]:
    """Train a network from scratch on labels of classes, with CutMix if the recipe says so."""
    from lgd_core.networks.classifiers import build_network
    from lgd_core.networks.training import accuracy, train_to_length

    model = build_network(lesson.spec, *lesson.key).to(lesson.data.device)
    result = train_to_length(
        model,
        lesson.data,
        lesson.test,
        lesson.recipe,
        lesson.key,
        lesson.checkpoint,
        "student",
    )
    held_out = lesson.validation
    validation = accuracy(model, held_out) if len(held_out.labels) else None
    return {**result, "validation_top1": validation}


PROTOCOL = Protocol(description="class labels", train=train)
