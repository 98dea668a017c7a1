"""Rounds of students at a learning rate that was chosen on held-out images, for scores of sets."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.finite import NotFiniteError
from lgd_core.evaluation.students import Lesson, train_student


def train_rounds(
    lesson_of: Callable[[int], Lesson], sets: int, rates: Sequence[float], rounds: int
) -> dict[str, Any]:
    """Choose the learning rate of students on held-out images, then train one student per round.

    ``lesson_of`` returns the lesson of a set by its number, below ``sets``; keys of students start
    with the lesson's. One student per rate learns the first set and never sees the test images.
    Round r learns set r modulo ``sets`` and starts from weights of its own, the same for all
    lessons of a key. Returns the chosen ``lr``, the accuracies in percent by which it was chosen
    (None where training diverged), and ``top1`` of the rounds on the test set after the last epoch.
    """
    found = [_held_out_accuracy(lesson_of(0), rate) for rate in rates]
    best = _best(rates, found)
    results = []
    for number in range(rounds):
        lesson = _at_rate(lesson_of(number % sets), best)
        results.append(_trained(replace(lesson, key=(*lesson.key, number)), f"round{number}"))
    return {
        "lr": best,
        "rates": list(rates),
        "validation_top1": found,
        "top1": [result["top1"] for result in results],
        "label_bytes": results[0]["label_bytes"],
    }


def _best(rates: Sequence[float], accuracies: Sequence[float | None]) -> float:
    """Return the rate of the highest accuracy, of equal ones the first."""
    found = zip(rates, accuracies, strict=True)
    known = {rate: accuracy for rate, accuracy in found if accuracy is not None}
    if not known:
        raise UserError(
            f"scores.rates: found {list(rates)}, at which training diverges, expected a lower one"
        )
    return max(known, key=known.__getitem__)


def _at_rate(lesson: Lesson, rate: float) -> Lesson:
    return replace(lesson, recipe=lesson.recipe.model_copy(update={"lr": rate}))


def _held_out_accuracy(lesson: Lesson, rate: float) -> float | None:
    """Return what a student of a rate reaches on held-out images; None if its training diverges."""
    searched = replace(_at_rate(lesson, rate), test=lesson.validation, key=(*lesson.key, "search"))
    try:
        return _trained(searched, f"rate{rate:g}")["top1"]
    except NotFiniteError:
        return None


def _trained(lesson: Lesson, name: str) -> dict[str, float | None]:
    """Return the result of a student, from the checkpoint if it was trained before."""
    results, own = lesson.checkpoint, lesson.checkpoint.part(name)
    result = results.load(name, "top1")
    if result is None:
        result = train_student(replace(lesson, checkpoint=own))
        results.save(name, result)
        own.clear()
    return result
