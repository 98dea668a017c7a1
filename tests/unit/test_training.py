"""Training of students and references."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import SEEN, SPEC, changed
from torch import Tensor, nn
from torch.optim import Optimizer

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import generator
from lgd_core.config.models.dataset import ImageConfig
from lgd_core.config.settings import StudentSettings
from lgd_core.data.distilled import StoredSet
from lgd_core.evaluation import students
from lgd_core.evaluation.students import Lesson, cross_accuracies, train_student
from lgd_core.networks import classifiers, training
from lgd_core.networks.augment import augment, cutmix
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import (
    Batch,
    Images,
    accuracy,
    class_loss,
    evaluation_epochs,
    loss_of,
    mean_loss,
    optimiser_for,
    train_epoch,
    train_to_length,
)

STUDENT = StudentSettings(
    epochs=12, evaluations=4, batch=10, lr=0.01, weight_decay=0.01, cutmix=True
)
NOWHERE = Checkpoint(None)


def student(key: int = 0) -> nn.Module:
    return build_network(SPEC, key)


def relabelled(data: Images) -> Images:
    """Return the same images, every label wrong."""
    return dataclasses.replace(data, labels=(data.labels + 1) % 3)


def same(model: nn.Module, other: nn.Module) -> bool:
    others = other.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in model.state_dict().items())


def test_a_student_learns_and_reports_its_last_and_best_evaluation(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([40.0, 90.0, 80.0, 70.0])
    monkeypatch.setattr(training, "accuracy", lambda *_: next(measured))
    model = student()
    before = mean_loss(model, bright)
    found = train_to_length(model, bright, bright, STUDENT, ("key",), NOWHERE, "student")
    assert found == {"top1": 70.0, "best_top1": 90.0}
    assert mean_loss(model, bright) < 0.7 * before


@pytest.mark.parametrize(
    ("epochs", "evaluations", "expected"),
    [(12, 4, {3, 6, 9, 12}), (10, 3, {1, 4, 7, 10}), (3, 100, {1, 2, 3}), (7, 1, {7})],
)
def test_evaluations_are_evenly_spread_and_end_with_the_last_epoch(
    epochs: int, evaluations: int, expected: set[int]
) -> None:
    assert evaluation_epochs(epochs, evaluations) == expected


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the learning rate of every epoch trained."""
    seen: list[float] = []
    real = training.train_epoch

    def spy(model: nn.Module, optimiser: Optimizer, *args: object, **more: object) -> float:
        seen.append(optimiser.param_groups[0]["lr"])
        return real(model, optimiser, *args, **more)

    monkeypatch.setattr(training, "train_epoch", spy)
    return seen


def test_the_rate_falls_to_a_fifth_at_two_thirds_and_again_at_five_sixths(
    bright: Images, rates: list[float]
) -> None:
    train_to_length(student(), bright, bright, STUDENT, ("key",), NOWHERE, "student")
    assert rates == pytest.approx([0.01] * 8 + [0.002] * 2 + [0.0004] * 2)


@pytest.mark.parametrize("saves", [1, 5, 9, 12])
def test_an_interrupted_student_ends_as_an_undisturbed_one(
    bright: Images,
    tmp_path: Path,
    interrupt_after: Callable,
    rates: list[float],
    saves: int,
) -> None:
    undisturbed, resumed = student(), student()
    expected = train_to_length(undisturbed, bright, bright, STUDENT, ("key",), NOWHERE, "student")
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        train_to_length(
            student(), bright, bright, STUDENT, ("key",), Checkpoint(tmp_path, 0), "student"
        )
    del rates[:]
    found = train_to_length(
        resumed, bright, bright, STUDENT, ("key",), Checkpoint(tmp_path, 0), "student"
    )
    assert len(rates) == 12 - saves
    assert found == expected
    assert same(resumed, undisturbed)


def test_validation_accuracy_is_that_of_other_images(bright: Images) -> None:
    recipe = changed(STUDENT, cutmix=False, epochs=30)
    run = train_student(Lesson(SPEC, bright, bright, relabelled(bright), recipe, ("key",), NOWHERE))
    assert run["top1"] > 90
    assert run["validation_top1"] < 10


def test_runs_differ_in_weights_and_in_batches(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, keys = [], []

    def remember(model: nn.Module, *args: object) -> dict[str, float]:
        started.append(copy.deepcopy(model))
        keys.append(args[3])
        return {"top1": 0.0, "best_top1": 0.0}

    monkeypatch.setattr(students, "train_to_length", remember)
    for run in range(2):
        train_student(Lesson(SPEC, bright, bright, bright, STUDENT, ("key", run), NOWHERE))
    assert not same(*started)
    assert keys[0] != keys[1]


def test_a_run_of_two_methods_starts_alike_and_sees_the_same_order_and_augmentation(
    bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes runs of two methods pairs: only the images differ."""
    started, drawn = [], []
    real_build, real_loss = classifiers.build_network, training.loss_of

    def build(*args: object) -> nn.Module:
        started.append(copy.deepcopy(real_build(*args)))
        return real_build(*args)

    def loss(
        model: nn.Module, data: Images, batch: Batch, mix: bool, rng: object, *more: int
    ) -> Tensor:
        before = rng.get_state()
        value = real_loss(model, data, batch, mix, rng, *more)
        drawn.append((batch.rows.tolist(), before, rng.get_state()))
        return value

    monkeypatch.setattr(students, "build_network", build)
    monkeypatch.setattr(training, "loss_of", loss)
    other = dataclasses.replace(bright, images=255 - bright.images)
    results = [
        [
            train_student(Lesson(SPEC, data, bright, bright, STUDENT, ("student", 0, run), NOWHERE))
            for run in range(2)
        ]
        for data in (bright, other)
    ]
    assert results[0] != results[1], "the images differ"
    for run in range(2):
        assert same(started[run], started[run + 2])
    assert not same(started[0], started[1])
    steps = len(drawn) // 2
    assert steps == 2 * 12 * 3, "runs x epochs x batches"
    for (rows, before, after), (rows2, before2, after2) in zip(
        drawn[:steps], drawn[steps:], strict=True
    ):
        assert rows == rows2
        assert torch.equal(before, before2)
        assert torch.equal(after, after2)


def test_cross_accuracy_rows_are_training_and_columns_are_test_increments(
    bright: Images, tmp_path: Path, interrupt_after: Callable
) -> None:
    recipe = changed(STUDENT, cutmix=False, epochs=30)
    increments = [bright, relabelled(bright)]
    expected = cross_accuracies(SPEC, increments, recipe, ("key",), NOWHERE)
    assert min(expected[0][0], expected[1][1]) > 90
    assert max(expected[0][1], expected[1][0]) < 10
    uneven = cross_accuracies(SPEC, [bright, _without_class(bright)], recipe, ("key",), NOWHERE)
    assert uneven[0][1] > 90
    assert uneven[1][0] < 70
    interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        cross_accuracies(SPEC, increments, recipe, ("key",), Checkpoint(tmp_path))
    assert cross_accuracies(SPEC, increments, recipe, ("key",), Checkpoint(tmp_path)) == expected


def _without_class(data: Images) -> Images:
    rows = data.labels != 2
    return dataclasses.replace(data, images=data.images[rows], labels=data.labels[rows])


def test_an_epoch_is_shuffled_by_its_key_and_sees_every_image(bright: Images) -> None:
    seen: list[Tensor] = []
    rows = torch.arange(24).view(24, 1, 1, 1).expand(24, 3, 16, 16).to(torch.uint8)
    plain = changed(bright.augment, crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0)
    data = dataclasses.replace(bright, images=rows, augment=plain, preprocess=lambda x: x)
    model = student()
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 0, 8, 8] * 255))
    for key in (("a", 0), ("a", 0), ("a", 1)):
        train_epoch(model, optimiser_for(model, 0.01, 0.01), data, 10, class_loss(False), key)
    assert [len(batch) for batch in seen] == [10, 10, 4] * 3
    orders = [torch.cat(seen[i : i + 3]).round().int().tolist() for i in (0, 3, 6)]
    assert all(sorted(order) == list(range(24)) for order in orders)
    assert orders[0] == orders[1] != orders[2]


def test_an_epoch_s_loss_is_the_mean_over_images_not_batches(bright: Images) -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3))

        def forward(self, images: Tensor) -> Tensor:
            return images.mean((1, 2, 3))[:, None] * torch.tensor([1.0, 0.0, 0.0]) + 0 * self.bias

    plain = changed(bright.augment, crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0)
    data = dataclasses.replace(bright, augment=plain)
    model = Fixed()
    found = train_epoch(
        model, optimiser_for(model, 0.0, 0.01), data, 10, class_loss(False), ("key",)
    )
    assert found == pytest.approx(mean_loss(model, data), rel=1e-5)


def test_cutmix_weighs_the_labels_by_area(bright: Images) -> None:
    rows = torch.arange(9)
    weights = torch.linspace(-1, 1, 3 * 16 * 16 * 3).view(3, -1) / 10
    for seed in range(5):
        rng = generator("loss", seed)
        images = bright.preprocess(augment(bright.images[rows] / 255, bright.augment, rng))
        mixed, order, own = cutmix(images, rng)
        log_p = (mixed.flatten(1) @ weights.T).log_softmax(1)
        labels = F.one_hot(bright.labels[rows], 3)
        expected = -((own * labels + (1 - own) * labels[order]) * log_p).sum(1).mean()
        found = loss_of(
            lambda x: x.flatten(1) @ weights.T,
            bright,
            bright.batch(rows),
            True,
            generator("loss", seed),
        )
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("mix", [True, False])
def test_images_of_a_weight_count_by_it(bright: Images, mix: bool) -> None:
    """A pasted part counts by the weight of the image that it is from."""
    rows, network = torch.arange(9), student().eval()
    weights = torch.linspace(0.2, 1.8, len(bright.labels))
    rng = generator("loss")
    images = bright.preprocess(augment(bright.images[rows] / 255, bright.augment, rng))
    order, own = rows, 1.0
    if mix:
        images, order, own = cutmix(images, rng)
    losses = [
        F.cross_entropy(network(images), bright.labels[those], reduction="none") * weights[those]
        for those in (rows, order)
    ]
    expected = (own * losses[0] + (1 - own) * losses[1]).mean()
    weighted = dataclasses.replace(bright, weights=weights)
    found = loss_of(network, weighted, weighted.batch(rows), mix, generator("loss"))
    torch.testing.assert_close(found, expected)


def test_a_stored_image_s_weight_is_that_of_all_it_holds(bright: Images) -> None:
    images, labels = bright.images.split(3)[:2], bright.labels.split(3)[:2]
    stored = StoredSet(list(images), list(labels))
    weights = [torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.25, 1.25, 1.0])]
    data = Images.of_parts(torch.device("cpu"), stored._replace(factor=2, weights=weights), SEEN)
    assert data.weights is not None
    assert data.weights.tolist() == [w for part in weights for w in part.tolist() for _ in range(4)]
    assert Images.of_parts(torch.device("cpu"), stored, SEEN).weights is None


def test_accuracy_and_loss_use_unaugmented_images_and_any_batch(bright: Images) -> None:
    model = student()
    logits = model.eval()((bright.images / 255 - 0.45) / 0.3)
    share = (logits.argmax(1) == bright.labels).float().mean().item()
    loss = F.cross_entropy(logits, bright.labels).item()
    for batch in (7, 1000):
        assert accuracy(model, bright, batch) == pytest.approx(100 * share)
        assert mean_loss(model, bright, batch) == pytest.approx(loss, rel=1e-4)


def test_the_optimiser_is_adamw_with_its_rate_and_decay() -> None:
    optimiser = optimiser_for(student(), 0.01, 0.03)
    assert isinstance(optimiser, torch.optim.AdamW)
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.01, 0.03, (0.9, 0.999))


@pytest.mark.parametrize("size", [None, 12])
def test_images_lie_on_the_device_at_the_size_of_networks(bright: Images, size: int | None) -> None:
    seen = changed(SEEN, image=ImageConfig(size=16, channels=3, train_size=size))
    data = Images.on(torch.device("cpu"), bright.images, bright.labels, seen)
    side = size or 16
    assert data.images.shape == (24, 3, side, side)
    assert data.images.dtype == torch.uint8
    assert seen.network("ConvNet-2-w8").size == side
    exact = data.preprocess(bright.images / 255)
    stored = data.preprocess(data.images / 255)
    assert (exact - stored).abs().max() <= 0.51 / 255 / 0.3, "rounded to 8 bits, no more"


def test_images_of_a_stage_that_does_not_train_cannot_be_trained_on(bright: Images) -> None:
    data = dataclasses.replace(bright, augment=None)
    with pytest.raises(ValueError, match="without augmentation"):
        train_student(Lesson(SPEC, data, bright, bright, STUDENT, ("key",), NOWHERE))
    assert accuracy(student(), data) >= 0


def test_students_without_held_out_images_have_no_accuracy_on_them(bright: Images) -> None:
    nothing = dataclasses.replace(bright, images=bright.images[:0], labels=bright.labels[:0])
    recipe = changed(STUDENT, epochs=1)
    run = train_student(Lesson(SPEC, bright, bright, nothing, recipe, ("key",), NOWHERE))
    assert run["validation_top1"] is None
    assert run["top1"] >= 0
