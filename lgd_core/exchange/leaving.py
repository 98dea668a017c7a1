"""A distilled set that is to leave: its images, as the merged set has them, and what is said of it.

Images are read one at a time and never held. Free of PyTorch.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgd_core.base.errors import UserError
from lgd_core.base.image_files import read_bytes
from lgd_core.config.external import MANIFEST
from lgd_core.config.models.base import Config
from lgd_core.config.models.images import NormaliseConfig
from lgd_core.config.models.protocol import LabelsConfig
from lgd_core.config.settings import ClassNames
from lgd_core.data.distilled import read_manifest


@dataclass(frozen=True)
class Row:
    """One image: its path in the merged set, its place, its score if it has one, its digest.

    ``weight`` is that of the image in a student's loss.
    """

    file: str
    label: int
    increment: int
    position: int
    score: float | None
    sha256: str
    weight: float = 1.0

    @property
    def key(self) -> str:
        """A name without a folder, in the order of the set."""
        return f"k{self.increment:03d}_c{self.label:04d}_p{self.position:04d}"


class LogitFacts(Config):
    """The protocol whose stored labels leave as logits, and what it says of labels."""

    protocol: str
    labels: LabelsConfig


class Accuracy(Config):
    """What students of the set reach on real test images, in percent; see tables.result_row.

    Standard deviations are None for a single student.
    """

    protocol: str
    student: str
    n: int
    n_runs: int
    top1_mean: float
    top1_std: float | None
    best_top1_mean: float
    best_top1_std: float | None


def accuracy(row: dict[str, Any]) -> Accuracy:
    """Return a row of tables.result_row, whose numbers may be NaN."""
    known = {key: row[key] for key in Accuracy.model_fields}
    numbers = {key: None if value != value else value for key, value in known.items()}
    return Accuracy.model_validate(numbers)


class Facts(Config):
    """What a card and the provenance say of a set.

    ``prior`` is where the prior that drew the images comes from, None if none did; ``licences`` are
    those of ``data`` and ``prior``, where they are known; ``command`` makes the set again.
    """

    dataset: str
    data_description: str
    method: str
    method_description: str
    ipc: int
    seed: int
    formation: int
    prior: str | None
    licences: dict[str, str | None]
    logits: LogitFacts | None
    accuracies: list[Accuracy]
    command: str


@dataclass(frozen=True)
class Leaving:
    """A distilled set, increment by increment, then class by class.

    ``normalise`` is what networks see of the images; ``logits`` (N, classes) are a teacher's for
    the images in this order.
    """

    folder: Path
    rows: list[Row]
    classes: ClassNames
    normalise: NormaliseConfig
    facts: Facts
    logits: np.ndarray | None = None

    @property
    def increments(self) -> int:
        """The number of increments."""
        return 1 + max(row.increment for row in self.rows)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place of every image in this order, by its file."""
        return {row.file: number for number, row in enumerate(self.rows)}

    def encoded(self, row: Row) -> bytes:
        """Return an image as PNG; raises UserError unless it is the one of the manifest."""
        path = self.folder / row.file
        contents = read_bytes(path)
        if hashlib.sha256(contents).hexdigest() != row.sha256:
            raise UserError(
                f"{path}: found another image than {MANIFEST} lists, expected it as it was "
                "written; delete the folder and run again"
            )
        return contents

    def described(self, row: Row) -> dict[str, Any]:
        """Return what every form says of an image; no wnid where classes have none."""
        wnid = {"wnid": self.classes.wnids[row.label]} if self.classes.wnids else {}
        place = {"increment": row.increment, "position": row.position}
        return {"label": row.label, **wnid, **place, "score": row.score, "weight": row.weight}

    def logits_of(self, row: Row) -> list[float]:
        """Return the teacher's logits of an image; only where the set has some."""
        return self.logits[self.numbers[row.file]].tolist() if self.logits is not None else []


def pixels_of(leaving: Leaving, row: Row) -> np.ndarray:
    """Return an image as uint8 (C, H, W)."""
    with Image.open(io.BytesIO(leaving.encoded(row))) as image:
        pixels = np.array(image)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1))


def read_rows(folder: Path, names: Sequence[str]) -> list[Row]:
    """Return the images of a merged set in its order; raises UserError as read_manifest does."""
    labels = {name: label for label, name in enumerate(names)}
    keys = ("file", "increment", "position", "score", "sha256")
    return [
        Row(
            label=labels[row["class"]],
            weight=1.0 if row["weight"] is None else row["weight"],
            **{key: row[key] for key in keys},
        )
        for row in read_manifest(folder)
    ]


def in_parts(rows: Sequence[Row], most: int) -> Iterator[tuple[str, Sequence[Row]]]:
    """Yield (name, rows) of files that hold at most ``most`` images of one increment each.

    Those of increment k have names that begin with ``k`` and its number, so that the first
    increments can be loaded by a pattern.
    """
    by_increment: dict[int, list[Row]] = {}
    for row in rows:
        by_increment.setdefault(row.increment, []).append(row)
    for increment, own in sorted(by_increment.items()):
        count = -(-len(own) // most)
        for part in range(count):
            yield (
                f"k{increment:03d}-{part:05d}-of-{count:05d}",
                own[part * most : (part + 1) * most],
            )
