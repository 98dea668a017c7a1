"""Rounds of students: the rate is chosen on held-out images, and a killed job goes on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SPEC

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.finite import NotFiniteError
from lgd_core.config.settings import StudentSettings
from lgd_core.evaluation import rounds
from lgd_core.evaluation.rounds import train_rounds
from lgd_core.evaluation.students import Lesson
from lgd_core.networks.training import Images

RECIPE = StudentSettings(epochs=2, evaluations=1, batch=12, lr=1.0, weight_decay=0.0, cutmix=False)
RATES = [1.0e-5, 1.0e-2]


@pytest.fixture
def lesson(bright: Images) -> Lesson:
    return Lesson(SPEC, bright, bright, bright, RECIPE, ("score",), Checkpoint(None))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Lesson]:
    """Put a student in place of the real one that has 100 times its rate; return the lessons."""
    lessons: list[Lesson] = []

    def train_student(lesson: Lesson) -> dict[str, float | None]:
        lessons.append(lesson)
        if lesson.recipe.lr > 0.5:
            raise NotFiniteError("loss of training")
        return {"top1": 100 * lesson.recipe.lr, "label_bytes": 0}

    monkeypatch.setattr(rounds, "train_student", train_student)
    return lessons


def test_the_rate_is_the_best_on_held_out_images_and_the_test_set_is_not_seen(
    lesson: Lesson, bright: Images, trained: list[Lesson]
) -> None:
    held_out = replace(bright, labels=bright.labels[:12], images=bright.images[:12])
    lesson = replace(lesson, validation=held_out)
    found = train_rounds(lambda _: lesson, 1, [0.1, 0.3, 0.2, 0.9], 3)
    assert found["lr"] == 0.3
    assert found["validation_top1"] == [pytest.approx(x) for x in (10, 30, 20)] + [None]
    assert found["top1"] == [pytest.approx(30)] * 3
    searched, tested = trained[:4], trained[4:]
    assert all(each.test is held_out for each in searched)
    assert all(each.test is bright for each in tested)
    assert {each.key for each in searched} == {("score", "search")}
    assert [each.key for each in tested] == [("score", number) for number in range(3)]


def test_every_round_has_the_next_set(lesson: Lesson, trained: list[Lesson]) -> None:
    numbers: list[int] = []

    def lesson_of(number: int) -> Lesson:
        numbers.append(number)
        return lesson

    train_rounds(lesson_of, 3, [0.1], 3)
    assert numbers == [0, 0, 1, 2], "the search is on the first"


def test_rates_that_all_diverge_are_one_line(lesson: Lesson, trained: list[Lesson]) -> None:
    with pytest.raises(UserError, match=r"scores\.rates: found \[0.9\], at which training diverge"):
        train_rounds(lambda _: lesson, 1, [0.9], 2)


@pytest.mark.parametrize("saves", [1, 3])
def test_a_killed_job_ends_as_an_undisturbed_one(
    lesson: Lesson, saves: int, interrupt_after: Callable[[int], None], tmp_path: Path
) -> None:
    def run(checkpoint: Checkpoint) -> dict:
        own = replace(lesson, checkpoint=checkpoint)
        return train_rounds(lambda _: own, 1, RATES, 2)

    expected = run(Checkpoint(None))
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        run(Checkpoint(tmp_path))
    assert run(Checkpoint(tmp_path)) == expected
    assert len(list(tmp_path.rglob("*.pt"))) == 4, "results alone"
