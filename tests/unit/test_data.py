"""Real images: splits, arrays."""

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from trees import WOOF, class_tree, read_split, settings, shade, wanted

from lgd_core.base import decoding
from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.config.models.images import ImageConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import SourceSettings
from lgd_core.config.sources import list_source
from lgd_core.data.kind import data_kind
from lgd_core.data.parts import hold_out
from lgd_core.data.real_images import prepare, real_increment

ROOT = Path(__file__).parents[2]
DIGITS = {
    "source": {"kind": "digits", "validation_fraction": 0.1},
    "classes": [str(i) for i in range(10)],
    "image": {"size": 8, "channels": 1},
}


def prepared(
    name: str, asked: SourceSettings, folder: Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Prepare a data set in ``folder`` and return what comes back of its splits."""
    prepare(name, asked, Path(asked.source.folder or folder), folder, 2, print)
    splits = {split: read_split(folder, split) for split in ("train", "validation", "test")}
    return {split: (images.numpy(), labels.numpy()) for split, (images, labels) in splits.items()}


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
    splits = prepared("digits", wanted(**DIGITS), tmp_path)
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
        prepared("digits", wanted(**DIGITS | {"image": {"size": 16, "channels": 1}}), tmp_path)
    with pytest.raises(UserError, match="found 10 classes, expected 9"):
        prepared("digits", wanted(**DIGITS | {"classes": list("123456789")}), tmp_path)


def test_arrays_on_disk_come_back_and_cannot_be_changed_by_their_reader(tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    np.save(tmp_path / "train_images.npy", np.ascontiguousarray(images[:, ::-1]))
    np.save(tmp_path / "train_labels.npy", np.array([1, 0]))
    found, labels = read_split(tmp_path, "train")
    assert np.array_equal(found.numpy(), images[:, ::-1])
    assert labels.tolist() == [1, 0]
    found.zero_()
    assert np.array_equal(read_split(tmp_path, "train")[0].numpy(), images[:, ::-1])


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


FOLDER = {"classes": ["cat", "ant"], "image": {"size": 8, "channels": 3}}


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
    splits = prepared("mine", wanted(**FOLDER, source=source), tmp_path / "raw")
    assert [len(labels) for _, labels in splits.values()] == [6, 2, 4]
    for images, labels in splits.values():
        assert images.shape[1:] == (3, 8, 8)
        darker = images.mean((1, 2, 3)) < 127
        assert darker.tolist() == (labels == first).tolist()


def test_class_folders_keep_their_colours(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    splits = prepared("mine", wanted(**FOLDER, source=source), tmp_path / "raw")
    for images, labels in splits.values():
        colours = images[:, :, 4, 4]
        assert colours[:, 0].tolist() == [0 if label == 1 else 50 for label in labels]
        assert colours[:, 1].tolist() == colours[:, 0].tolist()
        assert set(colours[:, 2]) <= {0, 20, 40, 60}


def test_class_folders_can_be_read_as_grey(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "cat"], lambda i: 50 * i)
    grey = wanted(**FOLDER | {"source": source, "image": {"size": 8, "channels": 1}})
    assert prepared("mine", grey, tmp_path / "raw")["train"][0].shape == (6, 1, 8, 8)


@pytest.mark.parametrize(("share", "counts"), [(0.2, [8, 4, 4]), (0.5, [6, 2, 8])])
def test_an_unsplit_folder_is_divided_class_by_class(
    tmp_path: Path, share: float, counts: list[int]
) -> None:
    class_folders(tmp_path, ["ant", "cat"], lambda i: 255 * i)
    for name in ("ant", "cat"):
        for number in range(4, 8):
            colour = (255 * (name == "cat"),) * 2 + (20 * number,)
            Image.new("RGB", (20, 12), colour).save(tmp_path / "train" / name / f"{number}.png")
    source = {"kind": "unsplit-folder", "folder": str(tmp_path / "train"), "test_share": share}
    asked = wanted(**FOLDER, source=source | {"validation_fraction": 0.25})
    splits = prepared("mine", asked, tmp_path / "raw")
    assert [len(labels) for _, labels in splits.values()] == counts
    seen = set()
    for images, labels in splits.values():
        assert (images[:, 0, 4, 4] == 0).tolist() == (labels == 1).tolist(), "ant has label 1"
        seen |= {
            (int(label), int(image[2, 4, 4])) for image, label in zip(images, labels, strict=True)
        }
    assert len(seen) == 16, "no image is in two parts"
    (tmp_path / "other").mkdir()
    again = prepared("other", asked, tmp_path / "other")
    assert np.array_equal(again["test"][0], splits["test"][0]), "whatever the data set's name"


def test_an_unsplit_folder_has_all_classes_and_each_file_once(tmp_path: Path) -> None:
    class_folders(tmp_path, ["ant", "cat"], lambda i: i)
    (tmp_path / "train" / "cat" / "notes.pdf").touch()
    source = {"kind": "unsplit-folder", "folder": str(tmp_path / "train")}
    asked = wanted(**FOLDER, source=source)
    listing = list_source(asked, "mine.yaml")
    names = [f"train/{name}/{number}.png" for name in ("ant", "cat") for number in range(4)]
    assert [*listing.files] == names
    kind = data_kind(asked.source)
    assert kind.list_left_out(asked.wanted, tmp_path / "train") == ["cat/notes.pdf"]
    (tmp_path / "train" / "bee").mkdir()
    with pytest.raises(UserError, match=r"source\.folder: .*extra: bee"):
        list_source(asked, "mine.yaml")
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(MissingFolderError, match="expected a folder of class folders"):
        list_source(asked, "mine.yaml")


def test_a_wrong_number_of_class_folders_is_refused(tmp_path: Path) -> None:
    source = class_folders(tmp_path, ["ant", "bee", "cat"], lambda i: i)
    with pytest.raises(UserError, match="found 3 class folders, expected 2"):
        prepared("mine", wanted(**FOLDER, source=source), tmp_path / "raw")


@pytest.fixture
def woof(tmp_path: Path) -> Path:
    """Write a root that holds only the ten breeds, whose sorted order is not that of the labels."""
    assert sorted(WOOF) != list(WOOF)
    return class_tree(tmp_path / "woof", sorted(WOOF))


@pytest.mark.parametrize("kind", ["imagenet", "folder"])
def test_labels_come_from_the_wnid_never_from_the_place_of_a_folder(
    tmp_path: Path, woof: Path, kind: str
) -> None:
    shipped = Recipes(ROOT / "config", {}).dataset("imagewoof")
    assert shipped.prior.labels == list(WOOF.values())
    splits = prepared("imagewoof", settings(kind, woof), tmp_path / "data")
    images, labels = splits["train"]
    assert len(labels) == 40
    for image, label in zip(images, labels, strict=True):
        assert tuple(image[:, 4, 4]) == shade(shipped.wnids[label])


def test_every_image_is_stored_at_both_sizes_but_decoded_once(
    tmp_path: Path, woof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    real = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *args: decoded.append(args) or real(*args))
    image = ImageConfig(size=10, train_size=6, channels=3)
    asked = settings("imagenet", woof).model_copy(update={"image": image})
    counts = prepare("woof", asked, woof, tmp_path, 2, print)["images"]
    assert len(decoded) == 60
    assert counts["train"] == {f"dog {index}": 4 for index in WOOF.values()}
    train, labels = read_split(tmp_path, "train")
    originals, same = read_split(tmp_path, "originals")
    assert train.shape == (40, 3, 6, 6)
    assert originals.shape == (40, 3, 10, 10)
    assert read_split(tmp_path, "test")[0].shape == (20, 3, 6, 6)
    assert torch.equal(labels, same)
    assert torch.equal(train[:, :, 3, 3], originals[:, :, 5, 5])


def test_originals_of_one_size_are_the_training_images_themselves(
    tmp_path: Path, woof: Path
) -> None:
    prepare("woof", settings("imagenet", woof), woof, tmp_path, 1, print)
    for kind in ("images", "labels"):
        files = [tmp_path / f"{split}_{kind}.npy" for split in ("train", "originals")]
        assert files[0].samefile(files[1])
    assert not list(tmp_path.glob(".*"))


def test_where_there_are_no_links_originals_are_a_copy(
    tmp_path: Path, woof: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    prepare("woof", settings("imagenet", woof), woof, tmp_path, 1, print)
    pair = [read_split(tmp_path, split)[0] for split in ("train", "originals")]
    assert torch.equal(*pair)


def test_nothing_held_out_is_a_split_without_images(tmp_path: Path, woof: Path) -> None:
    prepare("woof", settings("imagenet", woof), woof, tmp_path, 2, print)
    images, labels = read_split(tmp_path, "validation")
    assert images.shape == (0, 3, 8, 8)
    assert images.dtype == torch.uint8
    assert labels.shape == (0,)
    assert labels.dtype == torch.int64


def test_arrays_do_not_depend_on_threads_and_are_what_numpy_writes(
    tmp_path: Path, woof: Path
) -> None:
    asked = settings("imagenet", woof, validation_fraction=0.25)
    for threads in (1, 4):
        prepare("woof", asked, woof, tmp_path / str(threads), threads, print)
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "4" / file.name).read_bytes()
        np.save(tmp_path / "again.npy", np.load(file))
        assert file.read_bytes() == (tmp_path / "again.npy").read_bytes()


def test_a_broken_image_stops_the_run_by_its_name(tmp_path: Path, woof: Path) -> None:
    path = woof / "train" / "n02111889" / "n02111889_1.JPEG"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"found a broken image.*source\.skip_broken") as error:
        prepare("woof", settings("imagenet", woof), woof, tmp_path / "data", 2, print)
    assert str(path) in str(error.value)
    assert not list((tmp_path / "data").iterdir())


def test_broken_images_are_skipped_and_listed_where_asked_for(tmp_path: Path, woof: Path) -> None:
    broken = [sorted((woof / part / "n02111889").iterdir())[0] for part in ("train", "val")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:50])
    asked, log = settings("imagenet", woof, skip_broken=True), []
    facts = prepare("woof", asked, woof, tmp_path / "data", 2, log.append)
    assert [line.split(": ")[0] for line in facts["skipped"]] == list(map(str, broken))
    assert all(any(str(path) in line for line in log) for path in broken)
    assert facts["images"]["train"]["dog 258"] == 3
    for split, count in (("train", 39), ("originals", 39), ("test", 19)):
        images, labels = read_split(tmp_path / "data", split)
        assert len(images) == len(labels) == count
        for image, label in zip(images, labels.tolist(), strict=True):
            assert tuple(image[:, 4, 4].tolist()) == shade(list(WOOF)[label])


def test_a_class_of_broken_images_alone_is_refused(tmp_path: Path, woof: Path) -> None:
    for path in (woof / "train" / "n02111889").iterdir():
        path.write_bytes(b"")
    asked = settings("imagenet", woof, skip_broken=True)
    with pytest.raises(UserError, match="train: found no image of dog 258 that decodes"):
        prepare("woof", asked, woof, tmp_path / "data", 2, print)


def test_an_imagenet_class_with_too_few_images_for_an_increment(tmp_path: Path, woof: Path) -> None:
    prepare("woof", settings("imagenet", woof), woof, tmp_path, 1, print)
    labels = read_split(tmp_path, "train")[1]
    assert real_increment(labels, 10, 2, 0, 1).shape == (10, 2)
    with pytest.raises(UserError, match="found 4 training images, expected at least 6"):
        real_increment(labels, 10, 2, 0, 2)


def unreadable(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    """Let the system refuse one file."""
    for module, name in ((io, "open"), (builtins, "open")):
        real = getattr(module, name)

        def refuse(file: object, *args: object, real: Callable = real, **options: object) -> object:
            if str(file) == str(path):
                raise OSError(number, os.strerror(number), str(path))
            return real(file, *args, **options)

        monkeypatch.setattr(module, name, refuse)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.ESTALE])
def test_images_that_the_system_does_not_give_are_never_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    source = class_folders(tmp_path / "mine", ["ant", "cat"], lambda i: 50 * i)
    unreadable(monkeypatch, tmp_path / "mine" / "train" / "cat" / "1.png", number)
    asked = wanted(**FOLDER, source=source | {"skip_broken": True})
    with pytest.raises(UserError, match=os.strerror(number)) as error:
        prepare("mine", asked, tmp_path / "mine", tmp_path / "data", 2, print)
    assert "cat/1.png" in str(error.value)
    assert not list((tmp_path / "data").glob("*.npy"))


def test_images_of_all_suffixes_are_read_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "mine", ["ant", "cat"], lambda i: 50 * i)
    for path in sorted((tmp_path / "mine" / "train" / "cat").iterdir())[:3]:
        path.rename(path.with_suffix(".jfif"))
    for name in ("train/cat/5.heic", "train/6.png", "test/ant/.DS_Store", "test/ant/notes.txt"):
        (tmp_path / "mine" / name).write_bytes(b"")
    facts = prepare(
        "mine", wanted(**FOLDER, source=source), tmp_path / "mine", tmp_path / "data", 1, print
    )
    assert facts["images"]["train"] == {"cat": 3, "ant": 3}
    assert facts["left_out"] == {
        ".heic": {"files": 1, "first": ["train/cat/5.heic"]},
        ".png": {"files": 1, "first": ["train/6.png"]},
        "litter": {"files": 2, "first": ["test/ant/.DS_Store", "test/ant/notes.txt"]},
    }


def test_a_link_into_a_folder_above_is_refused(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "mine", ["ant", "cat"], lambda i: 50 * i)
    (tmp_path / "mine" / "train" / "cat" / "loop").symlink_to("..")
    with pytest.raises(UserError, match=r"cat/loop: found the same folder as .*train"):
        prepare("mine", wanted(**FOLDER, source=source), tmp_path / "mine", tmp_path, 1, print)
