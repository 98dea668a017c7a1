"""Tensors, class by class: safetensors, and `.pt` of other programs, never unpickled.

Read are `images.pt` and `labels.pt` as DC, MTT, DATM and DD-Ranking write them, one `.pt` with a
pair or a mapping of both, and safetensors with the tensors ``images`` and ``labels``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lgd_core.base.bombs import load_pt
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, share
from lgd_core.config.external import PROVENANCE
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.form import Arriving, Form, Opening
from lgd_core.exchange.leaving import Leaving, Row, pixels_of
from lgd_core.exchange.listing import listed_files, said_by

if TYPE_CHECKING:
    from torch import Tensor

# Bytes of the pixels of one file.
PER_FILE = 2**28
LABELS = "labels.pt"
# Tensors of one number per image.
SMALL = ("labels", "increments", "weights")
# Further tensors that programs write beside images and labels: learning rates, logits.
OTHERS = ("lr.pt", "logits.pt")
# How far a float may leave [0, 1] and is clamped: optimised pixels do so.
SLACK = 0.5


def write(folder: Path, leaving: Leaving) -> None:
    """Write safetensors with a file per so many images, class by class."""
    import torch
    from safetensors.torch import save_file

    rows = class_major(leaving.rows)
    shape = pixels_of(leaving, rows[0]).shape
    most = max(1, PER_FILE // math.prod(shape))
    count = -(-len(rows) // most)
    for part in range(count):
        path = folder / f"set-{part:05d}-of-{count:05d}.safetensors"
        if path.exists():
            continue
        own = rows[part * most : (part + 1) * most]
        images = torch.empty((len(own), *shape), dtype=torch.uint8)
        for number, row in enumerate(own):
            images[number] = torch.from_numpy(pixels_of(leaving, row))
        tensors = {
            "images": images,
            "labels": torch.tensor([row.label for row in own]),
            "increments": torch.tensor([row.increment for row in own]),
            "positions": torch.tensor([row.position for row in own]),
            "scores": torch.tensor(
                [float("nan") if row.score is None else row.score for row in own]
            ),
            "weights": torch.tensor([row.weight for row in own]),
        }
        if leaving.logits is not None:
            tensors["logits"] = torch.tensor([leaving.logits_of(row) for row in own])
        with atomic(path) as temporary:
            save_file(tensors, temporary)
            share(temporary)


def class_major(rows: Sequence[Row]) -> list[Row]:
    """Return the images class by class, in a class increment by increment."""
    return sorted(rows, key=lambda row: (row.label, row.increment, row.position))


def find(path: Path, classes: ClassNames) -> list[Path]:
    """Return the files of tensors at a path, none if there are none."""
    found = listed_files(path, (".safetensors", ".pt", ".pth"))
    files = [file for file in found if file.name not in OTHERS]
    said = path / PROVENANCE
    return [*files, said] if files and said.is_file() else files


def open_tensors(asked: Opening) -> Arriving:
    """Return the images of tensors, file by file, without reading them all.

    Bytes are pixels. Floats are on [0, 1], or normalised by ``mean`` and ``std`` of the entry in
    the run, or of the set's provenance.
    """
    files = [file for file in asked.files if file.name != PROVENANCE]
    parts = [
        _read(file, asked.channels) for file in files if file.name != LABELS or len(files) == 1
    ]
    mean, std = _scale(asked)
    places = [(part, row) for part in parts for row in range(len(part.labels))]

    def decoded(number: int) -> Image.Image:
        part, row = places[number]
        return _as_image(part.images[row], mean, std, f"{part.file}: image {row}")

    said = [increment for part in parts for increment in part.increments]
    weights = [weight for part in parts for weight in part.weights]
    return Arriving(
        names=[f"{part.file.name}#{row}" for part, row in places],
        labels=asked.labels([str(label) for part in parts for label in part.labels]),
        increments=said if len(said) == len(places) else None,
        read=decoded,
        weights=weights if len(weights) == len(places) else None,
    )


FORM = Form(
    description="safetensors of uint8 pixels, class by class",
    write=write,
    loading="""import glob
from safetensors.torch import load_file

parts = [load_file(path) for path in sorted(glob.glob("FOLDER/*.safetensors"))]
images, labels = parts[0]["images"], parts[0]["labels"]  # uint8 (N, C, H, W), int64 (N,)""",
    find=find,
    open=open_tensors,
)


@dataclass(frozen=True)
class Part:
    """What a file holds: images by their row, each (C, H, W), and labels.

    It has increments and weights if it says so.
    """

    file: Path
    images: Any
    labels: list[int]
    increments: list[int]
    weights: list[float]


def _read(path: Path, channels: int) -> Part:
    """Open a file of tensors; raises UserError unless it has images of the data set's channels."""
    found = _opened(path) if path.suffix == ".safetensors" else _loaded(path)
    beside = path.with_name(LABELS)
    if "labels" not in found and beside.is_file():
        found |= {"labels": _loaded(beside)["images"]}
    images, labels = found.get("images"), found.get("labels")
    if images is None or labels is None:
        missing = "images" if images is None else "labels"
        raise UserError(f"{path}: {missing}: found none, expected them in the file or in {LABELS}")
    shape = tuple(images.get_shape() if hasattr(images, "get_shape") else images.shape)
    if len(shape) != 4 or shape[1] != channels:
        raise UserError(f"{path}: images: found {shape}, expected (N, {channels}, H, W)")
    if labels.dim() == 2 and labels.shape[1] > 1:  # logits or probabilities
        labels = labels.argmax(1)
    if labels.numel() != shape[0]:
        raise UserError(f"{path}: labels: found {labels.numel()}, expected {shape[0]}")
    increments, weights = (
        found[name].tolist() if name in found else [] for name in ("increments", "weights")
    )
    return Part(path, images, labels.reshape(-1).long().tolist(), increments, weights)


def _opened(path: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file; images as a slice, read row by row."""
    from safetensors import SafetensorError, safe_open

    try:
        opened: Any = safe_open(path, framework="pt")
        names = set(opened.keys())
        small = {name: opened.get_tensor(name) for name in names & set(SMALL)}
        return small | {name: opened.get_slice(name) for name in names & {"images"}}
    except SafetensorError as error:
        raise UserError(f"{path}: found a broken safetensors file ({error})") from error


def _loaded(path: Path) -> dict[str, Any]:
    """Return the tensors of a .pt file, memory-mapped; a single one counts as images.

    A pair is images and labels, as are the first two of each experiment in DC's ``data``.
    """
    import torch

    try:
        found: Any = load_pt(path, mmap=True)
    except UserError:
        raise
    except Exception as error:  # damaged or unsafe files make torch raise almost anything
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: found no tensors that are safe to load ({reason})") from error
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"][0]
    if isinstance(found, torch.Tensor):
        return {"images": found}
    if isinstance(found, list | tuple):
        found = dict(zip(("images", "labels"), found, strict=False))
    if not isinstance(found, dict):
        raise UserError(f"{path}: found {type(found).__name__}, expected images and labels")
    return {name: torch.as_tensor(found[name]) for name in ("images", *SMALL) if name in found}


def _scale(asked: Opening) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation of normalised floats: the entry's, the set's, or none."""
    external, own = asked.external, said_by(asked.path).normalise
    mean = external.mean or (own.mean if own else [0.0] * asked.channels)
    std = external.std or (own.std if own else [1.0] * asked.channels)
    return mean, std


def _as_image(
    pixels: "Tensor", mean: Sequence[float], std: Sequence[float], where: str
) -> Image.Image:
    """Return one image (C, H, W); raises UserError for floats that are far from [0, 1] then."""
    import torch
    from torchvision.transforms.v2.functional import to_pil_image

    if pixels.dtype == torch.uint8:
        return to_pil_image(pixels)
    values = pixels.float() * torch.tensor(std)[:, None, None]
    values += torch.tensor(mean)[:, None, None]
    low, high = float(values.min()), float(values.max())
    if not -SLACK <= low <= high <= 1 + SLACK:
        raise UserError(
            f"{where}: found values from {low:.2f} to {high:.2f}, expected 0 to 1; if they are "
            "normalised, give mean and std beside the folder"
        )
    return to_pil_image((values.clamp(0, 1) * 255).round().to(torch.uint8))
