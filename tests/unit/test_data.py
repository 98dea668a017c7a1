"""Real images: splits, arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from lgd_core.data import (
    hold_out,
    load_split,
    prepare,
    real_increment,
    save_split,
)
from lgd_core.errors import UserError

DIGITS = {
    "source": {"kind": "digits", "validation_fraction": 0.1},
    "classes": [str(i) for i in range(10)],
    "image": {"size": 8, "channels": 1},
}


@pytest.fixture
def labels() -> Tensor:
    return torch.cat([torch.full((n,), label) for label, n in enumerate((100, 40, 10))])


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_a_share_of_every_class_is_held_out(labels: Tensor, fraction: float) -> None:
    kept, held = hold_out(labels, fraction, "name")
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(150))
    assert labels[held].bincount().tolist() == [round(fraction * n) for n in (100, 40, 10)]
    assert kept.tolist() == sorted(kept.tolist())
    assert held.tolist() == sorted(held.tolist())


def test_what_is_held_out_depends_on_the_key_alone(labels: Tensor) -> None:
    first, again, other = (hold_out(labels, 0.1, key)[1].tolist() for key in ("a", "a", "b"))
    assert first == again
    assert first != other


def test_digits_are_split_into_disjoint_and_complete_parts(tmp_path: Path) -> None:
    splits = prepare("digits", DIGITS, tmp_path)
    assert list(splits) == ["train", "validation", "test"]
    sizes = {split: len(labels) for split, (_, labels) in splits.items()}
    assert sum(sizes.values()) == 1797
    assert sizes["test"] == pytest.approx(0.2 * 1797, abs=10)
    assert sizes["validation"] == pytest.approx(0.1 * 0.8 * 1797, abs=10)
    for images, labels in splits.values():
        assert images.dtype == np.uint8
        assert images.shape[1:] == (1, 8, 8)
        assert labels.dtype == np.int64
        counts = np.bincount(labels, minlength=10)
        assert counts.min() > 0.8 * counts.max()

    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple]:
        return [(int(y), *x.ravel().tolist()) for x, y in zip(images, labels, strict=True)]

    digits = load_digits()
    scaled = np.round(digits.images * 255 / 16).astype(np.uint8)[:, None]
    found = sorted(row for part in splits.values() for row in rows(*part))
    assert found == sorted(rows(scaled, digits.target))


def test_images_of_another_shape_or_class_count_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found images of"):
        prepare("digits", DIGITS | {"image": {"size": 16, "channels": 1}}, tmp_path)
    with pytest.raises(UserError, match="found 10 classes, expected 9"):
        prepare("digits", DIGITS | {"classes": list("123456789")}, tmp_path)


def test_arrays_on_disk_come_back_and_cannot_be_changed_by_their_reader(tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    save_split(tmp_path, "train", images[:, ::-1], np.array([1, 0]))
    found, labels = load_split(tmp_path, "train")
    assert np.array_equal(found.numpy(), images[:, ::-1])
    assert labels.tolist() == [1, 0]
    found.zero_()
    assert np.array_equal(load_split(tmp_path, "train")[0].numpy(), images[:, ::-1])


def test_real_increments_never_repeat_an_image(labels: Tensor) -> None:
    drawn = torch.stack([real_increment(labels, 3, 2, 0, k) for k in range(5)])
    assert drawn.shape == (5, 3, 2)
    assert len(drawn.unique()) == 30
    assert all((labels[drawn[:, label]] == label).all() for label in range(3))


def test_real_increments_depend_on_the_seed(labels: Tensor) -> None:
    assert torch.equal(real_increment(labels, 3, 5, 0, 1), real_increment(labels, 3, 5, 0, 1))
    assert not torch.equal(real_increment(labels, 3, 5, 0, 1), real_increment(labels, 3, 5, 1, 1))


def test_too_few_real_images_are_one_line(labels: Tensor) -> None:
    real_increment(labels, 3, 5, 0, 1)
    with pytest.raises(UserError, match="class 2: found 10 training images") as error:
        real_increment(labels, 3, 5, 0, 2)
    assert "expected at least 15" in str(error.value)


FOLDER = {
    "classes": ["cat", "ant"],
    "image": {"size": 8, "channels": 3},
}


def class_folders(root: Path, names: list[str], shade: Callable[[int], int]) -> dict:
    """Write 4 training and 2 test images of 12 x 20 per class; return the recipe."""
    for part, n in (("train", 4), ("test", 2)):
        for i, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for j in range(n):
                colour = (shade(i), shade(i), 20 * j)
                Image.new("RGB", (20, 12), colour).save(root / part / name / f"{j}.png")
    return {"kind": "folder", "folder": str(root), "validation_fraction": 0.25}


@pytest.mark.parametrize(
    ("names", "first"),
    [(["ant", "cat"], 1), (["n01", "n02"], 0)],
    ids=["by name", "by position"],
)
def test_class_folders_are_labelled_by_name_or_else_by_position(
    tmp_path: Path, names: list[str], first: int
) -> None:
    source = class_folders(tmp_path, names, lambda i: 255 * i)
    splits = prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")
    assert [len(labels) for _, labels in splits.values()] == [6, 2, 4]
    for images, labels in splits.values():
        assert images.shape[1:] == (3, 8, 8)
        darker = images.mean((1, 2, 3)) < 127
        assert darker.tolist() == (labels == first).tolist()


def test_class_folders_keep_their_colours(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    splits = prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")
    for images, labels in splits.values():
        colours = images[:, :, 4, 4]
        assert colours[:, 0].tolist() == [0 if label == 1 else 50 for label in labels]
        assert colours[:, 1].tolist() == colours[:, 0].tolist()
        assert set(colours[:, 2]) <= {0, 20, 40, 60}


def test_class_folders_can_be_read_as_grey(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    grey = FOLDER | {"source": source, "image": {"size": 8, "channels": 1}}
    assert prepare("mine", grey, tmp_path / "raw")["train"][0].shape == (6, 1, 8, 8)


def test_a_wrong_number_of_class_folders_is_refused(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "bee", "cat"], lambda i: i)
    with pytest.raises(UserError, match="found 3 class folders, expected 2"):
        prepare("mine", FOLDER | {"source": source}, tmp_path / "raw")
