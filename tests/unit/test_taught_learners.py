"""Learners by a protocol: its keys, labels of a teacher, the average with batch normalisation."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SPEC, changed
from torch import nn
from torch.func import functional_call

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.method import LearnerConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import StudentSettings, TaughtSettings
from lgd_core.config.stages import images_trained_on, learner_settings
from lgd_core.evaluation.soft_labels import student_loss, taught_loss
from lgd_core.networks import training
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.learner import train_by_protocol, train_to_plateau
from lgd_core.networks.training import (
    Images,
    accuracy,
    class_loss,
    optimiser_for,
    schedule_for,
    train_epoch,
    train_to_length,
)

NOWHERE = Checkpoint(None)
LESSON = StudentSettings(
    epochs=4,
    batch=10,
    lr=0.01,
    weight_decay=0.01,
    cutmix=True,
    evaluations=None,
    schedule={"kind": "cosine", "smoothing": 2.0},
    decayed="matrices",
)
RECIPE = TaughtSettings(architecture=SPEC.name, ema_decay=0.8, protocol="brief", lesson=LESSON)
PLATEAU = LearnerConfig(
    lr=0.01, batch=10, patience=9, max_epochs=3, squeeze_epochs=1, ema_decay=0.8
)
BATCH_NORM = ["ConvNet-2-w8-bn", "ResNetAP-10-w8-bn"]

Trained = tuple[nn.Module, list]


def network(name: str, key: int = 0) -> nn.Module:
    return build_network(changed(SPEC, name=name), key)


def taught(model: nn.Module, data: Images, checkpoint: Checkpoint) -> Trained:
    return train_by_protocol(model, data, RECIPE, class_loss(True), ("key",), checkpoint)


def to_plateau(model: nn.Module, data: Images, checkpoint: Checkpoint) -> Trained:
    return train_to_plateau(model, data, data, PLATEAU, ("key",), checkpoint)


def of_learner(**keys: object) -> Recipes:
    """Return the shipped recipes, with keys of the learner of lgd."""
    return Recipes("config", {"overrides": {"methods": {"lgd": {"learner": keys}}}})


def settings_of(recipes: Recipes, increment: int = 1) -> dict:
    words = ("fashionmnist", "lgd")
    lesson = recipes.learner_lesson(*words, increment)
    return learner_settings(recipes.method(*words).learner, lesson)


# ---- Keys ----
def test_without_a_protocol_the_keys_of_the_plateau_act_and_nothing_else() -> None:
    recipes = Recipes("config", {})
    learner = recipes.method("fashionmnist", "lgd").learner
    found = settings_of(recipes)
    assert set(found) == {
        "architecture", "lr", "weight_decay", "batch", "ema_decay", "patience", "min_delta",
        "max_epochs", "squeeze_epochs", "min_lr_ratio", "monitor", "cutmix",
    }  # fmt: skip
    assert LearnerConfig.model_validate(found) == learner
    assert recipes.learner_protocol("fashionmnist", "lgd") is None
    assert recipes.learner_lesson("fashionmnist", "lgd", 1) is None


def test_a_learner_trains_as_a_student_of_the_set_so_far() -> None:
    recipes = of_learner(protocol="rded", ema_decay=0.9)
    student = recipes.students("fashionmnist")[0]
    found = settings_of(recipes, 4)
    lesson = TaughtSettings.model_validate(found).lesson
    expected = recipes.lesson("fashionmnist", "rded", student, 50)
    untested = {"evaluations": None, "every": None, "after": 0.0}
    assert lesson == expected.model_copy(update=untested)
    assert (lesson.batch, lesson.epochs, lesson.labels.temperature) == (200, 300, 20.0)
    assert set(found) == {"architecture", "ema_decay", "protocol", "lesson"}
    assert (found["protocol"], found["ema_decay"]) == ("rded", 0.9)


def test_an_amount_between_two_takes_the_batch_of_the_smaller() -> None:
    recipes = of_learner(protocol="rded")
    batches = [recipes.learner_lesson("fashionmnist", "lgd", k).batch for k in range(6)]
    assert batches == [100, 100, 100, 100, 200, 200]
    few = Recipes(
        "config",
        {
            "overrides": {
                "methods": {"lgd": {"learner": {"protocol": "d3hr"}}},
                "datasets": {"fashionmnist": {"recipes": {"dit": {"ipc_per_increment": 5}}}},
            }
        },
    )
    assert few.learner_lesson("fashionmnist", "lgd", 0).batch == 50, "of 10, the smallest amount"


def test_images_of_a_set_count_as_networks_see_them() -> None:
    words = {"learner": {"protocol": "rded"}}
    recipes = Recipes("config", {"overrides": {"methods": {"idc1": words, "dm": words}}})
    factor = recipes.method("fashionmnist", "idc1").condensation.factor
    assert factor == 2
    assert recipes.learner_lesson("fashionmnist", "idc1", 1).batch == 200, "of 80"
    assert recipes.learner_lesson("fashionmnist", "dm", 1).batch == 100, "of 20"


def test_what_a_protocol_has_for_the_architecture_acts() -> None:
    brief = {"batch": 9, "students": {"ConvNet-3-w32": {"batch": 7}}}
    learner = {"protocol": "hard"}
    overrides = {"methods": {"lgd": {"learner": learner}}, "protocols": {"hard": brief}}
    recipes = Recipes("config", {"overrides": overrides})
    assert recipes.method("fashionmnist", "lgd").learner.architecture == "ConvNet-3-w32"
    assert recipes.learner_lesson("fashionmnist", "lgd", 0).batch == 7
    assert recipes.learner_protocol("fashionmnist", "lgd").batch == 7


def test_keys_of_the_plateau_do_not_act_with_a_protocol_nor_do_evaluations() -> None:
    plain = settings_of(of_learner(protocol="hard"))
    others = {"patience": 7, "lr": 0.5, "batch": 3, "cutmix": False, "max_epochs": 9}
    assert settings_of(of_learner(protocol="hard", **others)) == plain
    assert settings_of(of_learner(protocol="hard", ema_decay=0.5)) != plain
    assert settings_of(of_learner(protocol="hard_steps")) != plain
    for keys, acts in (
        ({"evaluations": {"every": 1, "after": 0.5}}, False),
        ({"description": "other"}, False),
        ({"labels": {"temperature": 3.0}}, True),
        ({"optimiser": {"lr": 0.5}}, True),
    ):
        overrides = {
            "methods": {"lgd": {"learner": {"protocol": "hard"}}},
            "protocols": {"hard": keys},
        }
        found = settings_of(Recipes("config", {"overrides": overrides}))
        assert (found != plain) == acts, keys


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            {"methods": {"lgd": {"learner": {"protocol": "rdde"}}}},
            "method 'lgd' on data set 'fashionmnist': learner.protocol: unknown protocol 'rdde' "
            "(no file config/protocols/rdde.yaml), did you mean 'rded'?",
        ),
        (
            {"methods": {"lgd": {"learner": {"protocol": 3}}}},
            "learner.protocol: found 3, expected string, null",
        ),
        (
            {
                "methods": {"lgd": {"learner": {"protocol": "hard"}}},
                "protocols": {"hard": {"steps": 3, "epochs": {10: 3}}},
            },
            "steps: found steps and epochs, expected one of them",
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_any_job(overrides: dict, text: str) -> None:
    run = {"datasets": ["fashionmnist"], "methods": ["lgd"], "protocols": ["hard_steps"]}
    with pytest.raises(UserError) as caught:
        Recipes("config", run | {"overrides": overrides})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("protocol", "fails"), [(None, True), ("hard", False)])
def test_a_loss_that_is_not_monitored_needs_no_images(protocol: str | None, fails: bool) -> None:
    overrides = {
        "methods": {"lgd": {"learner": {"protocol": protocol, "monitor": "validation"}}},
        "datasets": {"fashionmnist": {"source": {"validation_fraction": 0.0}}},
    }
    recipes = Recipes("config", {"methods": ["random"], "overrides": overrides})
    if fails:
        with pytest.raises(UserError, match=r"learner\.monitor: found validation"):
            recipes.method("fashionmnist", "lgd")
    else:
        assert recipes.method("fashionmnist", "lgd").learner.protocol == "hard"


# ---- Training ----
def plain_average(name: str, data: Images, plateau: bool) -> tuple[dict, nn.Module]:
    """Return the average of all that a network's state has, and the network, by a plain loop."""
    model, steps = network(name), 0
    average = {key: value.clone() for key, value in model.state_dict().items()}

    def follow() -> None:
        nonlocal steps
        steps += 1
        decay = min(0.8, 1 - steps ** (-2 / 3))
        for key, value in model.state_dict().items():
            whole = not value.is_floating_point()
            average[key] = value.clone() if whole else decay * average[key] + (1 - decay) * value

    decayed = "all" if plateau else "matrices"
    optimiser = optimiser_for(model, 0.01, 0.01, decayed=decayed)
    schedule = schedule_for(optimiser, 4, LESSON.schedule)
    for epoch in range(4):
        train_epoch(model, optimiser, data, 10, class_loss(True), ("key", epoch), follow)
        if plateau and epoch == 2:
            optimiser.param_groups[0]["lr"] = 0.01 * 0.01
        if not plateau:
            schedule.step()
    assert steps == 12
    return average, model


@pytest.mark.parametrize("name", BATCH_NORM)
@pytest.mark.parametrize("train", [taught, to_plateau])
def test_the_average_has_the_running_statistics_of_its_steps(
    bright: Images, name: str, train: Callable[..., Trained]
) -> None:
    found, curve = train(network(name), bright, NOWHERE)
    average, last = plain_average(name, bright, train is to_plateau)
    assert len(curve) == 4
    initial = network(name).state_dict()
    statistics = [key for key in initial if "running" in key]
    assert len(statistics) >= 4
    for key, value in found.state_dict().items():
        assert value.isfinite().all(), key
        torch.testing.assert_close(value, average[key], rtol=1e-4, atol=1e-4)
    for key in statistics:
        assert not torch.allclose(found.state_dict()[key], initial[key]), key
        assert not torch.equal(found.state_dict()[key], last.state_dict()[key]), key
    counts = {int(v) for k, v in found.state_dict().items() if k.endswith("num_batches_tracked")}
    assert counts == {12}


@pytest.mark.parametrize("train", [taught, to_plateau])
def test_the_average_is_judged_by_its_running_statistics(
    bright: Images, train: Callable[..., Trained]
) -> None:
    name = BATCH_NORM[0]
    found, _ = train(network(name), bright, NOWHERE)
    assert not found.training
    average, _ = plain_average(name, bright, train is to_plateau)
    plain = network(name).eval()
    images = bright.preprocess(bright.images / 255)
    right = functional_call(plain, average, (images,)).argmax(1) == bright.labels
    assert accuracy(found, bright) == pytest.approx(100 * right.float().mean().item())
    assert torch.allclose(found(images[:5]), found(images)[:5], atol=1e-5), "of any batch"
    assert not torch.allclose(found(images), found.train()(images), atol=1e-2)


@pytest.mark.parametrize(
    ("name", "saves"), [(BATCH_NORM[0], 1), (BATCH_NORM[0], 3), (BATCH_NORM[1], 2), (SPEC.name, 2)]
)
@pytest.mark.parametrize("train", [taught, to_plateau])
def test_an_interrupted_learner_has_the_bytes_of_an_undisturbed_one(
    bright: Images,
    tmp_path: Path,
    interrupt_after: Callable,
    name: str,
    saves: int,
    train: Callable[..., Trained],
) -> None:
    undisturbed, curve = train(network(name), bright, NOWHERE)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        train(network(name), bright, Checkpoint(tmp_path, 0))
    resumed, found = train(network(name, 7), bright, Checkpoint(tmp_path, 0))
    assert found == curve
    torch.testing.assert_close(resumed.state_dict(), undisturbed.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", BATCH_NORM)
def test_an_interrupted_student_has_the_bytes_of_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after: Callable, name: str
) -> None:
    words = (bright, bright, changed(LESSON, evaluations=4), ("key",))
    undisturbed, resumed = network(name), network(name, 7)
    expected = train_to_length(undisturbed, *words, NOWHERE, "student")
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        train_to_length(network(name), *words, Checkpoint(tmp_path, 0), "student")
    assert train_to_length(resumed, *words, Checkpoint(tmp_path, 0), "student") == expected
    torch.testing.assert_close(resumed.state_dict(), undisturbed.state_dict(), rtol=0, atol=0)


def test_the_curve_has_a_row_per_epoch_and_the_images_are_those_of_its_steps(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, real = [], training.loss_of
    monkeypatch.setattr(
        training, "loss_of", lambda *words: counted.append(len(words[2].rows)) or real(*words)
    )
    recipe = changed(RECIPE, lesson={"epochs": None, "steps": 7})
    model, _ = network(SPEC.name), None
    _, curve = train_by_protocol(model, bright, recipe, class_loss(True), ("key",), NOWHERE)
    assert [row["phase"] for row in curve] == ["protocol"] * 3
    assert all(row["monitored"] == row["loss"] > 0 for row in curve)
    assert len(counted) == 7
    assert images_trained_on(recipe.lesson, len(bright.labels)) == sum(counted) == 24 * 2 + 10


@pytest.mark.parametrize("source", ["online", "stored"])
def test_a_learner_learns_what_the_teacher_says_of_its_set(bright: Images, source: str) -> None:
    """The classes of its images are all wrong; what its teacher says of them is right."""
    wrong = dataclasses.replace(bright, labels=(bright.labels + 1) % 3)
    lesson = changed(LESSON, epochs=30, cutmix=False, schedule={"kind": "steps"})
    teacher = network(SPEC.name, 1)
    train_to_length(
        teacher, bright, bright, changed(lesson, evaluations=1), ("key",), NOWHERE, "teacher"
    )
    teacher.eval().requires_grad_(False)
    recipe = changed(RECIPE, lesson=changed(lesson, labels={"source": source}).model_dump())
    loss_on = taught_loss(recipe.lesson, teacher, wrong)
    learner, _ = train_by_protocol(network(SPEC.name), wrong, recipe, loss_on, ("key",), NOWHERE)
    assert accuracy(learner, bright) > 90
    assert accuracy(learner, wrong) < 10


def test_labels_of_classes_need_no_teacher(bright: Images) -> None:
    rows, model = torch.arange(5), network(SPEC.name)
    own, plain = taught_loss(LESSON, None, bright), student_loss(LESSON, None, None)
    found, expected = (
        loss(model, bright, bright.batch(rows), torch.Generator().manual_seed(0)).item()
        for loss in (own, plain)
    )
    assert found == expected > 0
    for source in ("online", "stored"):
        with pytest.raises(ValueError, match=f"{source} labels"):
            taught_loss(changed(LESSON, labels={"source": source}), None, bright)
