"""Real images: the arrays that training reads."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lgd_core.base.digests import check_file
from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.files import read_json
from lgd_core.base.image_files import read_bytes, summarise
from lgd_core.base.seeding import generator
from lgd_core.config.settings import SourceSettings
from lgd_core.data.arrays import link, write_images, write_labels
from lgd_core.data.kind import Files, data_kind
from lgd_core.data.parts import Part


def prepare(
    name: str,
    settings: SourceSettings,
    root: Path,
    folder: Path,
    threads: int,
    log: Callable[[str], None],
    read: Callable[[str | Path], bytes] = read_bytes,
) -> dict[str, Any]:
    """Write a data set's arrays into ``folder``; return facts about its images.

    The facts are the numbers of images per class, the skipped files, the files beside images that
    are left out and, if images have families, the numbers of families.

    Networks read the splits ``train``, ``validation`` and ``test``, at ``image.train_size`` if it
    is set and at ``image.size`` otherwise. ``originals`` are the images of ``train`` at
    ``image.size``. Each split is two .npy files: images, uint8 (N, C, H, W), and labels, int64
    (N,). The validation split is held out of the training images, class by class or family by
    family, keyed by the data set's name. Test images are never mixed with either. Every file is
    read with ``read`` and decoded once. Raises UserError for a broken file, unless
    ``source.skip_broken`` is set, and if a class has no image left.
    """
    cache, kind = _Cache(settings, folder, threads, log), data_kind(settings.source)
    train, test = kind.read(
        name, settings.wanted, root, Files(read, cache.on_broken, cache.leave_out)
    )
    train, validation = train.split(settings.source.validation_fraction, name)
    with warnings.catch_warnings():
        # Pillow warns of odd EXIF and of large images; broken images raise errors anyway.
        warnings.filterwarnings("ignore", module="PIL")
        parts = {"train": train, "validation": validation, "test": test}
        counts = {split: cache.write(split, part) for split, part in parts.items()}
    for split in ("train", "test"):
        for class_name, count in counts[split].items():
            if not count:
                raise UserError(f"{name}: {split}: found no image of {class_name} that decodes")
    facts: dict[str, Any] = {"images": counts, "skipped": cache.skipped}
    if (left_out := kind.list_left_out(settings.wanted, root)) is not None:
        facts["left_out"] = summarise(left_out)
    if train.families is not None:
        facts["families"] = {
            split: len(set(part.families))
            for split, part in parts.items()
            if part.families is not None
        }
    return facts


@dataclass
class _Cache:
    """Writes the arrays of a data set and collects the skipped files."""

    settings: SourceSettings
    folder: Path
    threads: int
    log: Callable[[str], None]
    skipped: list[str] = field(default_factory=list)

    def write(self, split: str, part: Part) -> dict[str, int]:
        """Write a split, and the originals beside ``train``; return its images per class."""
        image, classes = self.settings.image, self.settings.classes
        sizes = {split: image.train_size or image.size}
        larger = split == "train" and image.size != sizes[split]
        if larger:
            sizes["originals"] = image.size
        files = {self._file(name, "images"): size for name, size in sizes.items()}
        shape = (len(part.labels), image.channels)
        written = write_images(files, part.read, *shape, self.threads, self.on_broken)
        labels = part.labels[written]
        write_labels(self._file(split, "labels"), labels)
        if split == "train":
            for kind in ("labels",) if larger else ("labels", "images"):
                link(self._file("train", kind), self._file("originals", kind))
        self.log(f"{split}: {len(labels)} images")
        return dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))

    def on_broken(self, error: BrokenFileError) -> None:
        """Leave a broken image out if ``source.skip_broken`` is set; otherwise raise its error."""
        if not self.settings.source.skip_broken:
            raise UserError(f"{error}, or source.skip_broken: true") from error
        self.leave_out(str(error))

    def leave_out(self, what: str) -> None:
        """Record a file that is left out, and why."""
        self.log(f"skipped: {what}")
        self.skipped.append(what)

    def _file(self, split: str, kind: str) -> Path:
        return self.folder / f"{split}_{kind}.npy"


def load_set(folder: str | Path) -> tuple[Tensor, Tensor]:
    """Memory-map the images and labels of a folder from elsewhere, as load_split does."""
    return load_split(folder, "set", "set.json")


def load_split(
    folder: str | Path, split: str, record: str = "prepared.json"
) -> tuple[Tensor, Tensor]:
    """Memory-map one split: uint8 images (N, C, H, W) and int64 labels (N,).

    ``record`` is the JSON artifact beside them with their digests. Raises UserError naming a file
    that was changed after it was written, or that has another type or shape.
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


def _mapped(path: Path, record: dict[str, Any], dtype: type, axes: int) -> Tensor:
    check_file(path, record)
    try:
        # Mode c is copy-on-write: the tensor is writable, but the file is never changed.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except ValueError as error:
        raise UserError(f"{path}: found no array ({error}); delete it and run again") from None
    if array.dtype != dtype or array.ndim != axes:
        expected = f"{np.dtype(dtype)} of {axes}"
        raise UserError(f"{path}: found {array.dtype} of {array.ndim} axes, expected {expected}")
    return torch.from_numpy(array)


def real_increment(labels: Tensor, classes: int, size: int, seed: int, increment: int) -> Tensor:
    """Return the rows (classes, size) of increment k of random real images, class by class.

    Each class is shuffled once by (seed, class). Increment k takes the k-th run of ``size`` images,
    so increments never share an image. Raises UserError if a class has too few.
    """
    rows = []
    for label in range(classes):
        of_class = rows_of_class(labels, label, (increment + 1) * size, increment)
        order = torch.randperm(len(of_class), generator=generator("real", seed, label))
        rows.append(of_class[order[increment * size : (increment + 1) * size]])
    return torch.stack(rows)


def rows_of_class(labels: Tensor, label: int, needed: int, increment: int) -> Tensor:
    """Return the rows of a class; raises UserError if they are fewer than an increment needs."""
    rows = (labels == label).nonzero().flatten()
    if len(rows) < needed:
        raise UserError(
            f"class {label}: found {len(rows)} training images, expected at least "
            f"{needed} for increment {increment}"
        )
    return rows
