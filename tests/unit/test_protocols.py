"""Protocols as data: layers, what a data set fills in, schedules, evaluations, lengths."""

import math
from pathlib import Path

import pytest
import torch
from conftest import SPEC, changed
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.catalogue import read_run
from lgd_core.config.methods import images_per_increment
from lgd_core.config.models.protocol import ScheduleConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import StudentSettings
from lgd_core.config.stages import images_trained_on
from lgd_core.networks import training
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import (
    Images,
    epochs_of,
    evaluation_epochs,
    optimiser_for,
    schedule_for,
    train_to_length,
)

PRESETS = {
    "hard",
    "rded",
    "d3hr",
    "rd3",
    "hard_steps",
    "soft_steps",
    "soft_kd_steps",
    "lgd_regions",
}


@pytest.fixture(scope="module")
def recipes() -> Recipes:
    return Recipes("config", {})


def with_overrides(**overrides: object) -> Recipes:
    return Recipes("config", {"overrides": overrides})


def rates(settings: StudentSettings, epochs: int) -> list[float]:
    """Return the learning rate of every epoch."""
    optimiser = optimiser_for(nn.Linear(2, 2), settings.lr, settings.weight_decay)
    schedule, found = schedule_for(optimiser, epochs, settings.schedule), []
    for _ in range(epochs):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_every_preset_is_a_file(recipes: Recipes) -> None:
    assert set(recipes.names("protocol")) == PRESETS


def test_the_usual_protocol_is_that_of_the_data_set(recipes: Recipes) -> None:
    for dataset, student in (("fashionmnist", "ConvNet-3-w32"), ("imagenette", "ResNet-18")):
        keys = recipes.dataset(dataset)
        found, own = recipes.lesson(dataset, "hard", student, 50), keys.evaluation
        assert found.epochs == own.epochs[50]
        assert (found.batch, found.lr, found.cutmix) == (own.batch, own.lr, own.cutmix)
        assert (found.weight_decay, found.evaluations) == (own.weight_decay, own.evaluations)
        assert found.labels.source == "class"
        assert recipes.protocol(dataset, "hard", student).augment == keys.augment


def test_a_student_has_the_epochs_of_its_images_per_class(recipes: Recipes) -> None:
    known = recipes.dataset("imagenette").evaluation.epochs
    size = images_per_increment(recipes.method("imagenette", "lgd"))
    for increments in (1, 10):
        found = recipes.lesson("imagenette", "hard", "ResNet-18", increments * size).epochs
        assert found == known[min(ipc for ipc in known if ipc >= size * increments)]


def test_rded_has_its_published_numbers(recipes: Recipes) -> None:
    found = recipes.lesson("imagenette", "rded", "ResNet-18", 50)
    assert (found.epochs, found.batch, found.optimiser, found.lr) == (300, 200, "adamw", 1e-3)
    assert (found.decayed, found.weight_decay, found.cutmix) == ("matrices", 0.01, True)
    assert (found.labels.source, found.labels.temperature, found.shuffle) == ("online", 20, 2)
    each = rates(found, 300)
    # 1.0 at first, 0.854 in the middle, 0.503 in the last epoch: half a cosine.
    assert [each[0], each[150], each[299]] == pytest.approx([1e-3, 0.854e-3, 0.503e-3], abs=1e-6)
    epochs = evaluation_epochs(300, found.evaluations, found.every, found.after)
    assert epochs == {250, 260, 270, 280, 290, 300}
    assert [recipes.lesson("imagenette", "rded", "ResNet-18", ipc).batch for ipc in (1, 10)] == [
        20,
        100,
    ]


def test_d3hr_and_rd3_differ_from_it_as_their_sources_say(recipes: Recipes) -> None:
    d3hr = recipes.lesson("imagenette", "d3hr", "ResNet-18", 50)
    assert (d3hr.batch, d3hr.shuffle, d3hr.epochs) == (100, 1, 300)
    assert recipes.protocol("imagenette", "d3hr", "ResNet-18").augment.crop_scale == [0.08, 1.0]
    last = evaluation_epochs(300, d3hr.evaluations, d3hr.every, d3hr.after)
    assert last == set(range(291, 301))
    rd3 = recipes.lesson("imagenette", "rd3", "ResNet-18", 20)
    assert (rd3.batch, rd3.epochs, rd3.optimiser) == (50, 400, "adam")
    assert rates(rd3, 400)[399] == pytest.approx(1e-3 * (1 + math.cos(math.pi * 399 / 400)) / 2)
    other = recipes.lesson("imagenette", "rd3", "ResNetAP-10", 20)
    assert rates(other, 400)[399] > 0.5e-3, "half a cosine for other students"


def test_the_three_of_equal_steps_differ_in_labels_alone(recipes: Recipes) -> None:
    names = ("hard_steps", "soft_steps", "soft_kd_steps")
    found = [recipes.lesson("fashionmnist", name, "ConvNet-3-w32", 50) for name in names]
    assert [lesson.labels.source for lesson in found] == ["class", "stored", "online"]
    rest = [lesson.model_dump(exclude={"labels"}) for lesson in found]
    assert rest[0] == rest[1] == rest[2]
    assert rest[0]["steps"]
    assert rest[0]["epochs"] is None


def test_layers_are_file_data_set_run_and_student() -> None:
    own = {"rd3": {"batch": 7, "shuffle": 3}}
    recipes = with_overrides(
        datasets={"digits": {"protocols": own}},
        protocols={"rd3": {"shuffle": 4, "students": {"ConvNet-3-w32": {"batch": 9}}}},
    )
    found = recipes.lesson("digits", "rd3", "ConvNet-3-w32", 10)
    assert (found.batch, found.shuffle, found.epochs) == (9, 4, 400)
    assert recipes.lesson("digits", "rd3", "ConvNet-2-w8", 10).batch == 7


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"protocols": ["hrad"]}, "config: protocols: unknown protocol 'hrad'"),
        (
            {"protocols": ["rded"], "ipc": [20]},
            "batch: found none for 20 images per class, expected a batch for that many beside "
            "those for 1, 10, 50",
        ),
        (
            {"overrides": {"protocols": {"hard": {"labels": {"sourec": "class"}}}}},
            "labels.sourec: unknown key, did you mean 'source'?",
        ),
        (
            {"overrides": {"protocols": {"hard": {"labels": {"teacher": "nobody"}}}}},
            "labels.teacher: found 'nobody', expected one of reference",
        ),
        (
            {"overrides": {"protocols": {"hard": {"labels": {"top": 3}}}}},
            "labels.top: found 3, expected null",
        ),
        (
            {"overrides": {"protocols": {"hard": {"steps": 5, "epochs": {10: 5}}}}},
            "steps: found steps and epochs, expected one of them",
        ),
        (
            {"overrides": {"protocols": {"hard": {"students": {"CNN": {"batch": 3}}}}}},
            "students: found 'CNN', expected ConvNet-1",
        ),
        (
            {"overrides": {"protocols": {"hard": {"students": {"ConvNet-3": {"labels": {}}}}}}},
            "students.ConvNet-3.labels: expected the same for all",
        ),
        (
            {"overrides": {"datasets": {"fashionmnist": {"protocols": {"hrad": {}}}}}},
            "protocols.hrad: unknown protocol 'hrad'",
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_any_job(config: dict, text: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipes("config", config)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


SETTINGS = StudentSettings(
    epochs=None, steps=7, batch=10, lr=0.01, weight_decay=0.0, cutmix=False, evaluations=1
)


@pytest.mark.parametrize(
    ("steps", "expected"), [(7, (3, 1)), (6, (2, None)), (2, (1, 2)), (3, (1, None))]
)
def test_steps_become_whole_epochs_and_the_rest(steps: int, expected: tuple) -> None:
    """Of 24 images in batches of 10, an epoch has three steps."""
    assert epochs_of(changed(SETTINGS, steps=steps), 24) == expected


def test_training_ends_after_its_steps(bright: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, real = [], training.loss_of
    monkeypatch.setattr(
        training, "loss_of", lambda *words: counted.append(len(words[2].rows)) or real(*words)
    )
    model = build_network(SPEC, 0)
    train_to_length(model, bright, bright, SETTINGS, ("key",), Checkpoint(None), "student")
    assert len(counted) == 7
    assert images_trained_on(SETTINGS, len(bright.labels)) == sum(counted)


def test_images_that_a_student_sees_are_counted_by_epochs_and_regions() -> None:
    by_epochs = changed(SETTINGS, steps=None, epochs=4)
    assert images_trained_on(by_epochs, 30) == 120
    assert images_trained_on(changed(by_epochs, labels={"regions": 2}), 30) == 480


def test_only_matrices_decay_where_a_protocol_says_so() -> None:
    model = build_network(SPEC, 0)
    groups = optimiser_for(model, 0.1, 0.5, decayed="matrices").param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(p.dim() > 1 for p in groups[0]["params"])
    assert all(p.dim() <= 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_an_interrupted_student_of_steps_ends_as_an_undisturbed_one(
    bright: Images, tmp_path: Path, interrupt_after
) -> None:
    recipe = changed(SETTINGS, schedule={"kind": "cosine", "smoothing": 2.0}, decayed="matrices")
    words = (bright, bright, recipe, ("key",))
    undisturbed, resumed = build_network(SPEC, 0), build_network(SPEC, 0)
    expected = train_to_length(undisturbed, *words, Checkpoint(None), "student")
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        train_to_length(build_network(SPEC, 0), *words, Checkpoint(tmp_path, 0), "student")
    assert train_to_length(resumed, *words, Checkpoint(tmp_path, 0), "student") == expected
    for name, tensor in undisturbed.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_full_cosine_ends_at_nothing() -> None:
    optimiser = optimiser_for(nn.Linear(2, 2), 1.0, 0.0)
    schedule = schedule_for(optimiser, 10, ScheduleConfig(kind="cosine"))
    for _ in range(10):
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_the_shipped_comparison_of_labels_is_at_equal_steps() -> None:
    recipes = Recipes("config", read_run(["config/config.yaml", "config/labels.yaml"]))
    assert recipes.run.protocols == ["hard_steps", "soft_steps", "soft_kd_steps"]
    for dataset in ("fashionmnist", "glyphs"):
        steps = {recipes.lesson(dataset, name, "ConvNet-3-w32", 50).steps for name in PRESETS}
        assert steps - {None} == {1600}
    assert recipes.run.runs >= 3
