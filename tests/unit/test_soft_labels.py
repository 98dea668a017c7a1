"""Labels of a teacher against plain arithmetic: distributions, mixing, regions, storage."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import CPU, SEEN, SPEC, changed
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.config.settings import StudentSettings
from lgd_core.data.distilled import StoredSet
from lgd_core.evaluation.soft_labels import (
    StoredLabels,
    label_images,
    load_labels,
    save_labels,
    set_digest,
    student_loss,
)
from lgd_core.evaluation.students import Lesson, train_student
from lgd_core.networks.augment import augment, cutmix, shuffle_patches
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, train_to_length

STUDENT = StudentSettings(
    epochs=3, batch=10, lr=0.01, weight_decay=0.01, cutmix=True, evaluations=1, shuffle=2
)
ROWS = torch.arange(6)


def taught(**labels: object) -> StudentSettings:
    return changed(STUDENT, labels=labels)


@pytest.fixture
def teacher() -> nn.Module:
    return build_network(SPEC, "teacher").eval().requires_grad_(False)


@pytest.fixture
def model() -> nn.Module:
    return build_network(SPEC, "student")


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def mixed_batch(data: Images) -> tuple[Tensor, Tensor, float]:
    """Return the batch of ROWS as a student sees it, by the functions that the chain is made of."""
    rng = seeded()
    images = shuffle_patches(data.images[ROWS].float() / 255, 2, rng)
    return cutmix(data.preprocess(augment(images, data.augmentation, rng)), rng)


def divergence(student: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over images of the divergence of logits from labels, term by term."""
    each = [
        sum(p * (p.log() - q) for p, q in zip(label, row, strict=True) if p > 0)
        for label, row in zip(labels, F.log_softmax(student, 1), strict=True)
    ]
    return torch.stack(each).mean()


def test_online_labels_are_those_of_the_batch_that_the_student_sees(
    bright: Images, teacher: nn.Module, model: nn.Module
) -> None:
    loss = student_loss(taught(source="online", temperature=20.0), teacher, None)
    images, _, _ = mixed_batch(bright)
    expected = divergence(model(images) / 20, F.softmax(teacher(images) / 20, 1))
    assert loss(model, bright, bright.batch(ROWS), seeded()).item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_stored_labels_are_mixed_as_the_images_are(
    bright: Images, teacher: nn.Module, model: nn.Module
) -> None:
    settings = taught(source="stored", temperature=4.0)
    stored = label_images(teacher, bright, settings.labels)
    loss = student_loss(settings, None, stored)
    images, order, own = mixed_batch(bright)
    plain = F.softmax(teacher(bright.preprocess(bright.batch(ROWS)[0])) / 4, 1)
    expected = divergence(model(images) / 4, own * plain + (1 - own) * plain[order])
    assert 0 < own < 1
    assert loss(model, bright, bright.batch(ROWS), seeded()).item() == pytest.approx(
        expected.item(), rel=2e-3
    )


@pytest.mark.parametrize("source", ["online", "stored"])
@pytest.mark.parametrize("mix", [True, False])
def test_each_image_counts_by_its_weight(
    bright: Images, teacher: nn.Module, model: nn.Module, source: str, mix: bool
) -> None:
    """A mixed image weighs as much as the two it consists of, by their area."""
    weights = torch.linspace(0.2, 1.8, len(bright.labels))
    settings = changed(taught(source=source, temperature=4.0), cutmix=mix)
    stored = label_images(teacher, bright, settings.labels)
    loss = student_loss(settings, teacher, stored)
    images, order, own = mixed_batch(bright)
    if not mix:
        plain = shuffle_patches(bright.batch(ROWS)[0], settings.shuffle, rng := seeded())
        images, own = bright.preprocess(augment(plain, bright.augment, rng)), 1.0
    labels = F.softmax(teacher(images) / 4, 1)
    if source == "stored":
        unmixed = F.softmax(teacher(bright.preprocess(bright.batch(ROWS)[0])) / 4, 1)
        labels = own * unmixed + (1 - own) * unmixed[order]
    of_images = own * weights[ROWS] + (1 - own) * weights[ROWS][order]
    each = [divergence(model(images[[i]]) / 4, labels[[i]]) for i in range(len(ROWS))]
    expected = (torch.stack(each) * of_images).mean()
    weighted = dataclasses.replace(bright, weights=weights)
    found = loss(model, weighted, weighted.batch(ROWS), seeded())
    assert found.item() == pytest.approx(expected.item(), rel=2e-3)
    alike = dataclasses.replace(bright, weights=torch.ones(len(bright.labels)))
    torch.testing.assert_close(
        loss(model, alike, alike.batch(ROWS), seeded()),
        loss(model, bright, bright.batch(ROWS), seeded()),
    )


def test_a_student_of_a_teacher_never_sees_the_classes(bright: Images) -> None:
    """The classes of its images are all wrong; what its teacher says of them is right."""
    wrong = dataclasses.replace(bright, labels=(bright.labels + 1) % 3)
    recipe = changed(STUDENT, epochs=30, shuffle=1, cutmix=False)
    teacher = build_network(SPEC, "teacher")
    train_to_length(teacher, bright, bright, recipe, ("key",), Checkpoint(None), "teacher")
    teacher.eval().requires_grad_(False)
    for labels in ({"source": "online"}, {"source": "stored"}):
        own = changed(recipe, labels=labels)
        stored = label_images(teacher, wrong, own.labels)
        lesson = Lesson(
            SPEC, wrong, bright, wrong, own, ("key",), Checkpoint(None), teacher, stored
        )
        found = train_student(lesson)
        assert found["top1"] > 90
        assert found["validation_top1"] < 10
        assert found["label_bytes"] == len(wrong.labels) * 3 * 2


@pytest.mark.parametrize("top", [None, 2, 1])
def test_stored_labels_keep_the_largest_and_spread_the_rest(
    bright: Images, teacher: nn.Module, top: int | None
) -> None:
    config = LabelsConfig(source="stored", top=top)
    found = label_images(teacher, bright, config).probabilities(ROWS)
    plain = F.softmax(teacher(bright.preprocess(bright.batch(ROWS)[0])), 1)
    assert found.sum(1).tolist() == pytest.approx([1] * 6)
    expected = plain
    if top is not None:
        kept = plain.topk(top)
        rest = (1 - kept.values.sum(1, keepdim=True)) / (3 - top)
        expected = rest.repeat(1, 3).scatter(1, kept.indices, kept.values)
    assert torch.allclose(found, expected, atol=2e-3)


def test_bytes_are_those_of_what_is_stored() -> None:
    values = torch.zeros(40, 5, dtype=torch.half)
    whole = StoredLabels(values, None, 5)
    assert whole.bytes == 40 * 5 * 2
    assert StoredLabels(values, torch.zeros(40, 5, dtype=torch.int16), 1000).bytes == 40 * 5 * 4


def test_labels_of_another_set_are_refused(
    bright: Images, teacher: nn.Module, tmp_path: Path
) -> None:
    stored = label_images(teacher, bright, LabelsConfig(source="stored"))
    path = tmp_path / "labels.safetensors"
    save_labels(path, stored, set_digest(StoredSet([bright.images], [bright.labels])), {})
    parts = StoredSet(list(bright.images.split(5)), list(bright.labels.split(5)))
    read = load_labels(path, set_digest(parts))
    assert torch.equal(read.log_probabilities, stored.log_probabilities)
    for images, labels in (
        (bright.images.flip(0), bright.labels),
        (bright.images, bright.labels.flip(0)),
    ):
        with pytest.raises(UserError, match=r"labels.safetensors: labelled: found .*, expected"):
            load_labels(path, set_digest(StoredSet([images], [labels])))


def test_every_region_has_a_label_of_its_own(teacher: nn.Module) -> None:
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=seeded())
    data = Images.of_set(CPU, images, torch.tensor([0, 0, 1, 2]), 2, SEEN)
    assert len(data.labels) == 16
    found = label_images(teacher, data, LabelsConfig(source="stored", regions=2))
    quarter = images[2, :, :8, 8:][None].float()
    quarter = F.interpolate(quarter, 16, mode="bilinear").round() / 255
    expected = F.softmax(teacher(data.preprocess(quarter)), 1)[0]
    assert torch.allclose(found.probabilities(torch.tensor([9]))[0], expected, atol=2e-3)


def test_what_is_missing_is_said(model: nn.Module) -> None:
    for source in ("online", "stored"):
        with pytest.raises(ValueError, match=f"{source} labels"):
            student_loss(taught(source=source), None, None)


@pytest.mark.parametrize(("factor", "side"), [(2, 8), (3, 8), (4, 8)])
def test_whole_columns_and_rows_change_places(factor: int, side: int) -> None:
    """Against the plain way: cut into strips, put them in order, first columns and then rows."""
    places = torch.arange(side * side).view(1, 1, side, side).float().repeat(50, 2, 1, 1)
    found = shuffle_patches(places, factor, seeded())
    width, orders = side // factor, set()
    for image in found:
        assert torch.equal(image[0], image[1]), "channels move together"
        rows, columns = image[0] // side, image[0] % side
        assert (columns == columns[:1]).all()
        assert (rows == rows[:, :1]).all()
        for line in (columns[0], rows[:, 0]):
            strips = line[: width * factor].view(factor, width)
            assert (strips.diff(dim=1) == 1).all(), "strips stay whole"
            assert sorted(line.tolist()) == list(range(side))
        orders.add(tuple(columns[0].tolist()))
    assert len(orders) > 1, "every image has an order of its own"
    assert torch.equal(shuffle_patches(places, 1, seeded()), places)
