"""Distilled sets: increments on disk as tensors, merged sets as folders of images."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lgd_core.classes import class_folder
from lgd_core.errors import UserError
from lgd_core.runtime import atomic, share

MANIFEST_COLUMNS = ("file", "class", "increment", "position", "score")


def save_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict) -> None:
    """Write tensors and JSON-able metadata as safetensors, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        try:
            # Sorted, because the order of keys would otherwise decide the bytes of the file.
            save_file(tensors, temporary, {"lgd": json.dumps(metadata, sort_keys=True)})
        except SafetensorError as error:  # which is what a full disk gets
            raise OSError(str(error)) from error
        share(temporary)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read tensors and metadata; raises UserError naming the file if it is broken."""
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            return tensors, json.loads((stream.metadata() or {}).get("lgd", "{}"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found, expected a safetensors file") from None
    except SafetensorError as error:
        raise UserError(f"{path}: found a broken safetensors file ({error})") from None


def write_folder(folder: str | Path, increments: list[dict[str, Tensor]], names: list[str]) -> None:
    """Write increments 0, 1, ... as class folders of PNG and a manifest, all or nothing.

    An increment holds uint8 ``images`` (N, C, H, W), ``labels``, ``positions`` and ``scores`` (N,).
    """
    with atomic(folder) as temporary:
        for label in range(len(names)):
            (temporary / class_folder(label, names)).mkdir(parents=True)
        rows = [
            _write_image(temporary, increment, tensors, row, names)
            for increment, tensors in enumerate(increments)
            for row in range(len(tensors["labels"]))
        ]
        with open(temporary / "manifest.csv", "w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(MANIFEST_COLUMNS)
            writer.writerows(rows)


def _write_image(
    folder: Path, increment: int, tensors: dict[str, Tensor], row: int, names: list[str]
) -> tuple:
    label, position = int(tensors["labels"][row]), int(tensors["positions"][row])
    file = f"{class_folder(label, names)}/k{increment:03d}_p{position:03d}.png"
    # Grey images have no channel axis in PIL.
    pixels = tensors["images"][row].permute(1, 2, 0).squeeze(2).numpy()
    Image.fromarray(pixels).save(folder / file)
    score = float(tensors["scores"][row])
    return file, names[label], increment, position, "" if score != score else f"{score:.6f}"


def read_folder(folder: str | Path, names: list[str]) -> tuple[Tensor, Tensor]:
    """Read a merged set: uint8 images (N, C, H, W) and labels (N,), in the manifest's order."""
    manifest = Path(folder) / "manifest.csv"
    with open(manifest, newline="") as stream:
        rows = list(csv.DictReader(stream))
    images = torch.stack([_read_image(Path(folder) / row["file"]) for row in rows])
    return images, torch.tensor([names.index(row["class"]) for row in rows])


def _read_image(path: Path) -> Tensor:
    """Read a grey or colour PNG as uint8 (C, H, W)."""
    with Image.open(path) as image:
        pixels = torch.from_numpy(np.array(image))
    return pixels.reshape(*pixels.shape[:2], -1).permute(2, 0, 1)


def read_grid(folder: str | Path, names: list[str], per_cell: int) -> Tensor:
    """Read the first images of every class and increment: (classes, increments, n, C, H, W)."""
    with open(Path(folder) / "manifest.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    cells: dict[tuple[str, int], list[Path]] = {}
    for row in rows:
        cell = cells.setdefault((row["class"], int(row["increment"])), [])
        cell.append(Path(folder) / row["file"])
    increments = 1 + max(increment for _, increment in cells)
    n = min(per_cell, *map(len, cells.values()))
    images = [
        _read_image(path)
        for name in names
        for increment in range(increments)
        for path in cells[name, increment][:n]
    ]
    return torch.stack(images).unflatten(0, (len(names), increments, n))


def read_class(folder: str | Path, name: str, per_cell: int) -> tuple[list[dict], Tensor]:
    """Read the first images of every increment of one class: rows of the manifest and uint8 images.

    Rows have ``file``, ``increment``, ``position`` and ``score``, None where the image has none;
    images are (N, C, H, W) in the same order.
    """
    with open(Path(folder) / "manifest.csv", newline="") as stream:
        listed = [row for row in csv.DictReader(stream) if row["class"] == name]
    rows = [
        {
            "file": row["file"],
            "increment": int(row["increment"]),
            "position": int(row["position"]),
            "score": float(row["score"]) if row["score"] else None,
        }
        for row in listed
        if int(row["position"]) < per_cell
    ]
    return rows, torch.stack([_read_image(Path(folder) / row["file"]) for row in rows])
