"""Distilled sets: increments on disk as tensors, merged sets as folders of images."""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lgd_core.base.digests import check_file, file_digests
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, read_json, write_json
from lgd_core.base.image_files import read_bytes
from lgd_core.base.tensors import expect, load_tensors
from lgd_core.config.classes import class_folder
from lgd_core.config.external import MANIFEST, PROVENANCE
from lgd_core.config.settings import StoredImages

MANIFEST_COLUMNS = ("file", "class", "increment", "position", "score", "weight", "sha256")
# Metadata of an increment about how it was drawn; copied into the provenance of merged sets.
ORIGIN = (
    "method",
    "seed",
    "recipe",
    "prior",
    "networks",
    "precision",
    "device",
    "hardware",
    "versions",
    "fingerprint",
)


class StoredSet(NamedTuple):
    """A distilled set in parts, such as increments: uint8 images (N, C, H, W), labels (N,).

    Each stored image contains ``factor`` x ``factor`` smaller ones. ``weights`` (N,) are those of
    stored images in a loss, with a mean of 1; None where images are alike.
    """

    images: list[Tensor]
    labels: list[Tensor]
    factor: int = 1
    weights: list[Tensor] | None = None


def load_increment(
    path: str | Path, stored: StoredImages, size: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read an increment made by selection.build_increment, and its metadata.

    ``stored`` gives the shape of its images, ``size`` the number of images per class (None: any).
    Raises UserError naming the file unless it holds uint8 ``images`` of that size, finite
    ``latents``, ``scores``, and ``labels`` and ``positions`` in order; ``weights`` if it has any.
    """
    tensors, metadata = load_tensors(path)
    classes = stored.classes
    count = None if size is None else classes * size
    expect(path, tensors, "images", torch.uint8, count, *stored.shape)
    count = len(tensors["images"])
    expect(path, tensors, "latents", torch.float32, count, None, None, None)
    expect(path, tensors, "scores", torch.float32, count, finite=False)
    if "weights" in tensors:
        expect(path, tensors, "weights", torch.float32, count)
    each = count // classes
    ordered = {
        "labels": torch.arange(classes).repeat_interleave(each),
        "positions": torch.arange(each).repeat(classes),
    }
    for name, expected in ordered.items():
        expect(path, tensors, name, torch.int64, len(expected))
        if not torch.equal(tensors[name], expected):
            raise UserError(
                f"{path}: {name}: found another order, expected class by class, positions "
                f"0 to {each - 1} of each of {classes} classes"
            )
    return tensors, metadata


def origin_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of an increment about how it was drawn, as far as they exist."""
    known = metadata | metadata.get("drawn", {})
    return {key: known[key] for key in ORIGIN if key in known}


def write_folder(
    folder: str | Path,
    increments: Sequence[dict[str, Tensor]],
    names: list[str],
    provenance: dict[str, Any],
) -> None:
    """Write increments 0, 1, ... as class folders of PNG, manifest and provenance, all or nothing.

    An increment holds uint8 ``images`` (N, C, H, W), ``labels``, ``positions`` and ``scores`` (N,),
    and perhaps ``weights`` (N,).
    ``provenance`` describes how they were made. Its ``formation`` is the factor f: each stored
    image contains f x f smaller ones. The manifest has the SHA-256 of every image, and
    ``provenance.json`` has that of the manifest.
    """
    with atomic(folder) as temporary:
        for label in range(len(names)):
            (temporary / class_folder(label, names)).mkdir(parents=True)
        rows = [
            _write_image(temporary, increment, tensors, row, names)
            for increment, tensors in enumerate(increments)
            for row in range(len(tensors["labels"]))
        ]
        with open(temporary / MANIFEST, "w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(MANIFEST_COLUMNS)
            writer.writerows(rows)
        files = file_digests([temporary / MANIFEST])
        write_json(temporary / PROVENANCE, provenance | {"files": files})


def _write_image(
    folder: Path, increment: int, tensors: dict[str, Tensor], row: int, names: list[str]
) -> tuple[str | int, ...]:
    label, position = int(tensors["labels"][row]), int(tensors["positions"][row])
    file = f"{class_folder(label, names)}/k{increment:03d}_p{position:03d}.png"
    # Grey images have no channel axis in PIL.
    pixels = tensors["images"][row].permute(1, 2, 0).squeeze(2).numpy()
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, format="PNG")
    (folder / file).write_bytes(encoded.getvalue())
    score = float(tensors["scores"][row])
    written = "" if score != score else f"{score:.6f}"
    weight = f"{float(tensors['weights'][row]):.9g}" if "weights" in tensors else ""
    digest = hashlib.sha256(encoded.getvalue()).hexdigest()
    return file, names[label], increment, position, written, weight, digest


def read_manifest(folder: str | Path) -> list[dict[str, Any]]:
    """Read the manifest of a merged set: one row per image, in the manifest's order.

    Rows have ``file``, ``class``, ``increment``, ``position``, ``score`` and ``weight`` (None if
    the image has none) and ``sha256``. Raises UserError if the manifest was changed after it was
    written, and if the PNG files are not those of the manifest.
    """
    folder = Path(folder)
    check_file(folder / MANIFEST, read_json(folder / PROVENANCE))
    with open(folder / MANIFEST, newline="") as stream:
        rows = list(csv.DictReader(stream))
    listed = {row["file"] for row in rows}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    if odd := min(listed ^ found, default=None):
        raise UserError(
            f"{folder}: found {len(found)} PNG files, expected the {len(listed)} of {MANIFEST} "
            f"(the first that differs: {odd}); delete the folder and run again"
        )
    return [
        row
        | {
            "increment": int(row["increment"]),
            "position": int(row["position"]),
            "score": float(row["score"]) if row["score"] else None,
            # Sets that were merged before there were weights have no such column.
            "weight": float(row["weight"]) if row.get("weight") else None,
        }
        for row in rows
    ]


def _of_classes(folder: str | Path, names: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a manifest; raises UserError unless its classes are the data set's."""
    rows = read_manifest(folder)
    if others := sorted({row["class"] for row in rows} ^ set(names)):
        raise UserError(
            f"{folder}: found other classes than the data set's, as to {others[0]}; delete the "
            "folder and run again"
        )
    return rows


def _read_images(folder: str | Path, rows: Sequence[dict[str, Any]]) -> Tensor:
    return torch.stack([_read_image(Path(folder) / row["file"], row["sha256"]) for row in rows])


def _read_image(path: Path, expected: str) -> Tensor:
    """Read a grey or colour PNG as uint8 (C, H, W); raises UserError for another SHA-256."""
    encoded = read_bytes(path)
    if hashlib.sha256(encoded).hexdigest() != expected:
        raise UserError(
            f"{path}: found another image than {MANIFEST} lists, expected it as it was written; "
            "delete the folder and run again"
        )
    with Image.open(io.BytesIO(encoded)) as image:
        pixels = torch.from_numpy(np.array(image))
    return pixels.reshape(*pixels.shape[:2], -1).permute(2, 0, 1)


def load_increments(
    paths: Sequence[str | Path], stored: StoredImages, size: int | None = None
) -> StoredSet:
    """Memory-map a set, increment by increment; arguments and errors are those of load_increment.

    Where only some increments have weights, those of the others are 1.
    """
    read = [load_increment(path, stored, size) for path in paths]
    images, labels = ([part[name] for part, _ in read] for name in ("images", "labels"))
    weights = None
    if any("weights" in part for part, _ in read):
        weights = [part.get("weights", torch.ones(len(part["labels"]))) for part, _ in read]
    return StoredSet(images, labels, read[0][1]["formation"], weights)


def read_grid(
    folder: str | Path, names: list[str], per_cell: int, shown: Sequence[str] | None = None
) -> Tensor:
    """Read the first images of every class and increment: (classes, increments, n, C, H, W).

    ``shown`` are the classes to be read; None means all of ``names``, those of the data set.
    """
    classes = names if shown is None else shown
    cells: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in _of_classes(folder, names):
        cells.setdefault((row["class"], row["increment"]), []).append(row)
    increments = 1 + max(increment for _, increment in cells)
    n = min(per_cell, *map(len, cells.values()))
    rows = [
        row
        for name in classes
        for increment in range(increments)
        for row in cells[name, increment][:n]
    ]
    return _read_images(folder, rows).unflatten(0, (len(classes), increments, n))


def read_class(folder: str | Path, name: str, per_cell: int) -> tuple[list[dict[str, Any]], Tensor]:
    """Read the first images of every increment of one class: rows of the manifest and uint8 images.

    Rows have ``file``, ``increment``, ``position`` and ``score`` (None if the image has none);
    images are (N, C, H, W) in the same order.
    """
    listed = read_manifest(folder)
    shown = [row for row in listed if row["class"] == name and row["position"] < per_cell]
    keys = ("file", "increment", "position", "score")
    return [{key: row[key] for key in keys} for row in shown], _read_images(folder, shown)
