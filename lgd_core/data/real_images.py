"""Real images: the arrays that training reads, or the files that it decodes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.files import read_json
from lgd_core.base.image_files import read_bytes, summarise
from lgd_core.base.seeding import generator
from lgd_core.config.settings import SourceSettings
from lgd_core.data.arrays import link, mapped, write_images, write_rows
from lgd_core.data.distilled import StoredSet
from lgd_core.data.kind import Files, data_kind
from lgd_core.data.multi_formation import unpack_stored
from lgd_core.data.parts import Part
from lgd_core.data.streams import ImageFiles, StoredPixels

# The record of a set from elsewhere, beside its arrays.
SET = "set.json"


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

    With ``source.stream`` the images of ``train`` and ``originals`` are an index, the files (N,)
    that decode, and the facts say at which size they are read, see RealImages.
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
    if settings.source.stream:
        image = settings.image
        facts["streamed"] = {"channels": image.channels} | cache.sizes("train")
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
        source, classes = self.settings.source, self.settings.classes
        sizes = self.sizes(split)
        # Images at one size are one file under two names, and so is an index.
        streamed = split == "train" and source.stream
        written_sizes = {} if streamed else {size: name for name, size in reversed(sizes.items())}
        written = write_images(
            {self._file(name, "images"): size for size, name in written_sizes.items()},
            part.read,
            len(part.labels),
            self.settings.image.channels,
            self.threads,
            self.on_broken,
            split,
            None if split == "train" else source.test_resize,
        )
        labels = part.labels[written]
        write_rows(self._file(split, "labels"), labels)
        if streamed and part.files is not None:
            write_rows(self._file(split, "images"), part.files[written])
        if split == "train":
            link(self._file("train", "labels"), self._file("originals", "labels"))
            if len(written_sizes) < len(sizes):
                link(self._file("train", "images"), self._file("originals", "images"))
        self.log(f"{split}: {len(labels)} images")
        return dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))

    def sizes(self, split: str) -> dict[str, int]:
        """Return the size of a split's images and, with ``train``, of the originals beside it."""
        image = self.settings.image
        sizes = {split: image.train_size or image.size}
        return sizes | {"originals": image.size} if split == "train" else sizes

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


@dataclass(frozen=True)
class RealImages:
    """The real images of a data set, by the folder of its arrays.

    ``root`` has the files of its source, which ``workers`` processes decode; needed for the
    training images of a data set with ``source.stream`` alone.
    """

    folder: Path
    root: Path | None = None
    workers: int = 0

    def split(self, name: str) -> tuple[StoredPixels, Tensor]:
        """Return the images of a split, uint8 (N, C, H, W), and its labels, int64 (N,).

        Arrays are memory-mapped; images of files are decoded when they are read. Raises UserError
        as load_split does.
        """
        record = read_json(self.folder / "prepared.json")
        streamed = record.get("streamed", {})
        if name not in streamed:
            return load_split(self.folder, name)
        if self.root is None:
            raise TypeError("found no root, expected that of the data set's source")
        files = mapped(self.folder / f"{name}_images.npy", record, np.bytes_, 1)
        labels = mapped(self.folder / f"{name}_labels.npy", record, np.int64, 1)
        _check_lengths(self.folder, name, len(files), labels)
        shape = streamed["channels"], streamed[name]
        return ImageFiles(self.root, files, *shape, self.workers), torch.from_numpy(labels)


def load_stored_set(folder: str | Path) -> StoredSet:
    """Memory-map a set from elsewhere, in one part, as load_split does."""
    facts = read_json(Path(folder) / SET)
    images, labels = load_split(folder, "set", SET)
    weights = [torch.tensor(facts["weights"])] if "weights" in facts else None
    return StoredSet([images], [labels], facts.get("formation", 1), weights)


def load_unpacked_set(folder: str | Path) -> StoredSet:
    """Return a set from elsewhere in one part, the images in stored ones one by one."""
    (images,), (labels,), factor, weights = load_stored_set(folder)
    held, known = unpack_stored(images, labels, factor)
    if weights is not None:
        weights = [part.repeat_interleave(factor**2) for part in weights]
    return StoredSet([held], [known], 1, weights)


def load_set(folder: str | Path) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a set from elsewhere, those in stored ones one by one."""
    (images,), (labels,), _, _ = load_unpacked_set(folder)
    return images, labels


def load_split(
    folder: str | Path, split: str, record: str = "prepared.json"
) -> tuple[Tensor, Tensor]:
    """Memory-map one split: uint8 images (N, C, H, W) and int64 labels (N,).

    ``record`` is the JSON artifact beside them with their digests. Raises UserError naming a file
    that was changed after it was written, or that has another type or shape. Training images may be
    files, see RealImages.
    """
    facts = read_json(Path(folder) / record)
    images = mapped(Path(folder) / f"{split}_images.npy", facts, np.uint8, 4)
    labels = mapped(Path(folder) / f"{split}_labels.npy", facts, np.int64, 1)
    _check_lengths(folder, split, len(images), labels)
    return torch.from_numpy(images), torch.from_numpy(labels)


def load_labels(folder: str | Path, split: str) -> Tensor:
    """Memory-map the labels of a split alone, as load_split does."""
    record = read_json(Path(folder) / "prepared.json")
    return torch.from_numpy(mapped(Path(folder) / f"{split}_labels.npy", record, np.int64, 1))


def _check_lengths(folder: str | Path, split: str, images: int, labels: np.ndarray) -> None:
    if images != len(labels) or (len(labels) and labels.min() < 0):
        raise UserError(
            f"{folder}: {split}: found {len(labels)} labels of {images} images, expected one "
            "class of each; delete both files and run again"
        )


def real_increment(labels: Tensor, classes: int, size: int, seed: int, increment: int) -> Tensor:
    """Return the rows (classes, size) of increment k of random real images, class by class.

    Each class is shuffled once by (seed, class). Increment k takes the k-th run of ``size`` images,
    so increments never share an image. Raises UserError if a class has too few.
    """
    end = (increment + 1) * size
    rows = [
        shuffled_class(labels, label, end, f"increment {increment}", seed)[end - size : end]
        for label in range(classes)
    ]
    return torch.stack(rows)


def shuffled_class(
    labels: Tensor, label: int, needed: int, purpose: str, seed: int | str
) -> Tensor:
    """Return the rows of a class, shuffled by (seed, class); raises UserError as rows_of_class."""
    rows = rows_of_class(labels, label, needed, purpose)
    return rows[torch.randperm(len(rows), generator=generator("real", seed, label))]


def rows_of_class(labels: Tensor, label: int, needed: int, purpose: str) -> Tensor:
    """Return the rows of a class; raises UserError if they are fewer than a purpose needs."""
    rows = (labels == label).nonzero().flatten()
    if len(rows) < needed:
        raise UserError(
            f"class {label}: found {len(rows)} training images, expected at least "
            f"{needed} for {purpose}"
        )
    return rows
