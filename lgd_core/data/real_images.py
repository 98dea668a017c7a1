"""Real images: how they are split, and the arrays that training reads."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lgd_core.base.digests import check_file
from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.files import read_json
from lgd_core.base.image_files import read_bytes, summarise
from lgd_core.base.seeding import generator
from lgd_core.config.sources import list_images, list_left_out
from lgd_core.data.arrays import link, write_images, write_labels
from lgd_core.data.decoding import decode
from lgd_core.data.glyphs import draw_letters


@dataclass(frozen=True)
class Part:
    """Images of a source and their labels, int64 (N,); ``read`` may raise BrokenFileError.

    ``families``, (N,) strings, says which images are of one making and must not be split.
    """

    labels: np.ndarray
    read: Callable[[int], Image.Image]
    families: np.ndarray | None = None

    def take(self, rows: Tensor) -> "Part":
        """Return the part made of some rows."""
        families = None if self.families is None else self.families[rows]
        return Part(self.labels[rows], lambda number: self.read(int(rows[number])), families)

    def split(self, fraction: float, *key: int | str) -> list["Part"]:
        """Return what is kept and what is held out: of every class, or whole families."""
        if self.families is None:
            rows = hold_out(torch.from_numpy(self.labels), fraction, *key)
        else:
            rows = hold_out_families(self.families, fraction, *key)
        return [self.take(part) for part in rows]


def hold_out(labels: Tensor, fraction: float, *key: int | str) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices, the same fraction of every class, keyed and sorted."""
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator("hold-out", *key, label))
        held[rows[order[: round(fraction * len(rows))]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def hold_out_families(
    families: np.ndarray, fraction: float, *key: int | str
) -> tuple[Tensor, Tensor]:
    """Return (kept, held out) row indices; of all families a fraction, on average, is held out.

    A family's place depends on the key and its own name, not on what other families there are.
    """
    names, members = np.unique(families, return_inverse=True)
    draws = [torch.rand((), generator=generator("hold-out", *key, name)) for name in names]
    held = (torch.stack(draws) < fraction)[torch.from_numpy(members)]
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def prepare(
    name: str,
    recipe: dict,
    root: Path,
    folder: Path,
    threads: int,
    log: Callable[[str], None],
    read: Callable[[str | Path], bytes] = read_bytes,
) -> dict[str, dict | list]:
    """Write a data set's arrays into ``folder``; return its images per class, the skipped, what
    lies beside images and is left out, and the number of font families where there are any.

    Networks read the splits ``train``, ``validation`` and ``test``, at ``image.train_size`` where
    it is set and at ``image.size`` otherwise; ``originals`` are the images of ``train`` at
    ``image.size``. Each is two .npy files: images, uint8 (N, C, H, W), and labels, int64 (N,). The
    validation split is held out of the training images, class by class or family by family, keyed
    by the data set's name; the test images are never mixed with either. Every file is decoded
    once, from what ``read`` returns. Raises UserError for a broken file, unless
    ``source.skip_broken`` is set, and where a class has no image left.
    """
    cache = _Cache(recipe, folder, threads, log)
    kind = recipe["source"]["kind"]
    readers = {
        "fashion-mnist": _read_fashion,
        "digits": _read_digits,
        "fonts": partial(_read_fonts, cache=cache),
    }
    tree = partial(_read_tree, read=read)
    train, test = readers.get(kind, tree)(name, recipe, root)
    train, validation = train.split(recipe["source"]["validation_fraction"], name)
    with warnings.catch_warnings():
        # Pillow warns of odd EXIF and of large images; what it cannot decode raises.
        warnings.filterwarnings("ignore", module="PIL")
        parts = {"train": train, "validation": validation, "test": test}
        counts = {split: cache.write(split, part) for split, part in parts.items()}
    for split in ("train", "test"):
        for class_name, count in counts[split].items():
            if not count:
                raise UserError(f"{name}: {split}: found no image of {class_name} that decodes")
    facts = {"images": counts, "skipped": cache.skipped}
    if kind not in readers:
        facts["left_out"] = summarise(list_left_out(recipe, root))
    if train.families is not None:
        facts["families"] = {split: len(set(part.families)) for split, part in parts.items()}
    return facts


@dataclass
class _Cache:
    """The arrays of a data set while they are made."""

    recipe: dict
    folder: Path
    threads: int
    log: Callable[[str], None]
    skipped: list[str] = field(default_factory=list)

    def write(self, split: str, part: Part) -> dict[str, int]:
        """Write a split, and the originals beside ``train``; return its images per class."""
        image, classes = self.recipe["image"], self.recipe["classes"]
        sizes = {split: image.get("train_size") or image["size"]}
        larger = split == "train" and image["size"] != sizes[split]
        if larger:
            sizes["originals"] = image["size"]
        files = {self._file(name, "images"): size for name, size in sizes.items()}
        shape = (len(part.labels), image["channels"])
        written = write_images(files, part.read, *shape, self.threads, self.on_broken)
        labels = part.labels[written]
        write_labels(self._file(split, "labels"), labels)
        if split == "train":
            for kind in ("labels",) if larger else ("labels", "images"):
                link(self._file("train", kind), self._file("originals", kind))
        self.log(f"{split}: {len(labels)} images")
        return dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))

    def on_broken(self, error: BrokenFileError) -> None:
        """Leave a broken image out where the recipe says so; otherwise raise its error."""
        if not self.recipe["source"]["skip_broken"]:
            raise UserError(f"{error}, or source.skip_broken: true") from error
        self.leave_out(str(error))

    def leave_out(self, what: str) -> None:
        """Note what is left out, and why."""
        self.log(f"skipped: {what}")
        self.skipped.append(what)

    def _file(self, split: str, kind: str) -> Path:
        return self.folder / f"{split}_{kind}.npy"


def _read_tree(
    name: str, recipe: dict, root: Path, read: Callable[[str | Path], bytes]
) -> list[Part]:
    channels = recipe["image"]["channels"]
    parts = []
    for images in list_images(recipe, root):
        paths, labels = zip(*images, strict=True)
        parts.append(
            Part(
                np.array(labels, np.int64), lambda n, paths=paths: decode(paths[n], channels, read)
            )
        )
    return parts


def _read_fashion(name: str, recipe: dict, root: Path) -> list[Part]:
    from torchvision.datasets import FashionMNIST

    parts = (FashionMNIST(str(root), train=train) for train in (True, False))
    return [_array(name, recipe, p.data.numpy(), p.targets.numpy().astype(np.int64)) for p in parts]


def _read_digits(name: str, recipe: dict, root: Path) -> list[Part]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * (255 / 16)).round().astype(np.uint8)
    digits = _array(name, recipe, images, digits.target.astype(np.int64))
    return digits.split(0.2, "test")


def _read_fonts(name: str, recipe: dict, root: Path, cache: _Cache) -> list[Part]:
    source, size = recipe["source"], recipe["image"]["size"]
    drawn = draw_letters(source, root, size, cache.on_broken, cache.leave_out)
    letters = replace(_array(name, recipe, drawn.images, drawn.labels), families=drawn.families)
    return letters.split(source["test_fraction"], name, "test")


def _array(name: str, recipe: dict, images: np.ndarray, labels: np.ndarray) -> Part:
    """Return grey images (N, H, W) in memory as a part; raises UserError for another shape."""
    image, classes = recipe["image"], recipe["classes"]
    expected = (image["channels"], image["size"], image["size"])
    if (1, *images.shape[1:]) != expected:
        raise UserError(f"{name}: found images of {(1, *images.shape[1:])}, expected {expected}")
    if len(np.unique(labels)) != len(classes):
        raise UserError(f"{name}: found {len(np.unique(labels))} classes, expected {len(classes)}")
    return Part(labels, lambda number: Image.fromarray(images[number]))


def load_set(folder: str | Path) -> tuple[Tensor, Tensor]:
    """Memory-map the images and labels of a folder from elsewhere, as load_split does."""
    return load_split(folder, "set", "set.json")


def load_split(
    folder: str | Path, split: str, record: str = "prepared.json"
) -> tuple[Tensor, Tensor]:
    """Memory-map one split: uint8 images (N, C, H, W) and int64 labels (N,).

    ``record`` is the JSON artifact beside them that has their digests. Raises UserError naming the
    file that is not as it was written, or that is of another type or shape.
    """
    facts = read_json(Path(folder) / record)
    images = _mapped(Path(folder) / f"{split}_images.npy", facts, np.uint8, 4)
    labels = _mapped(Path(folder) / f"{split}_labels.npy", facts, np.int64, 1)
    if len(images) != len(labels) or (len(labels) and int(labels.min()) < 0):
        raise UserError(
            f"{folder}: {split}: found {len(labels)} labels of {len(images)} images, expected one "
            "class of each; delete both files and run again"
        )
    return images, labels


def _mapped(path: Path, record: dict, dtype: type, axes: int) -> Tensor:
    check_file(path, record)
    try:
        # Mode c maps privately: the tensor counts as writable, the file is never written.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except ValueError as error:
        raise UserError(f"{path}: found no array ({error}); delete it and run again") from None
    if array.dtype != dtype or array.ndim != axes:
        expected = f"{np.dtype(dtype)} of {axes}"
        raise UserError(f"{path}: found {array.dtype} of {array.ndim} axes, expected {expected}")
    return torch.from_numpy(array)


def real_increment(labels: Tensor, classes: int, size: int, seed: int, increment: int) -> Tensor:
    """Return the rows (classes, size) of increment k of random real images, class by class.

    Each class is shuffled once by (seed, class); increment k takes the k-th run of it, so that
    increments never share an image. Raises UserError where a class has too few.
    """
    rows = []
    for label in range(classes):
        of_class = rows_of_class(labels, label, (increment + 1) * size, increment)
        order = torch.randperm(len(of_class), generator=generator("real", seed, label))
        rows.append(of_class[order[increment * size : (increment + 1) * size]])
    return torch.stack(rows)


def rows_of_class(labels: Tensor, label: int, needed: int, increment: int) -> Tensor:
    """Return the rows of a class; raises UserError where they are fewer than an increment needs."""
    rows = (labels == label).nonzero().flatten()
    if len(rows) < needed:
        raise UserError(
            f"class {label}: found {len(rows)} training images, expected at least "
            f"{needed} for increment {increment}"
        )
    return rows
