"""Folders of images from elsewhere, read into arrays that later jobs memory-map."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import BrokenFileError
from lgd_core.base.files import read_json
from lgd_core.base.image_files import read_bytes, summarise
from lgd_core.config.external import (
    ExternalSet,
    increments_of,
    list_images,
    list_left_out,
    manifest_of,
    provenance_of,
)
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.settings import ClassNames
from lgd_core.data.arrays import write_images, write_rows
from lgd_core.data.decoding import decode
from lgd_core.data.multi_formation import unpack_stored


def read_set(
    external: ExternalSet,
    image: StoredImageConfig,
    names: ClassNames,
    files: dict[str, str],
    threads: int,
    log: Callable[[str], None],
    read: Callable[[str | Path], bytes] = read_bytes,
) -> dict[str, Any]:
    """Write a folder's images and labels as arrays, and a table of its files.

    Returns the numbers of images, and the files beside the images that are left out. ``files`` has
    the paths of the outputs: ``images``, uint8 (N, C, H, W) at the data set's size; ``labels``,
    int64 (N,); and ``table``, one row per image with file, class, label and increment. All are
    sorted by increment, then class, as in a set made by this workflow. If the folder is such a set
    with several images in each stored one, each of them is a row, named FILE#0, FILE#1, ... Raises
    UserError for an image that cannot be decoded.
    """
    folder = Path(external.folder)
    table, factor = list_rows(external, names), formation_of(folder)
    paths, held = [folder / file for file in table["file"]], factor**2
    if held > 1:
        table = table.loc[table.index.repeat(held)]
        table["file"] += [f"#{number % held}" for number in range(len(table))]

    def read_image(number: int) -> Image.Image:
        stored = decode(paths[number // held], image.channels, read)
        return stored if held == 1 else held_image(stored, number % held, factor)

    def stop(error: BrokenFileError) -> None:
        raise error

    sizes = {Path(files["images"]): image.size}
    write_images(sizes, read_image, len(table), image.channels, threads, stop, "set")
    write_rows(Path(files["labels"]), table["label"].to_numpy(np.int64))
    write_csv(table, files["table"])
    split = "manifest.csv" if manifest_of(folder) else f"file order, {external.increment} each"
    log(f"{len(paths)} files, {len(table)} images, increments by {split}")
    counts = table.groupby("increment").size().tolist()
    left_out = summarise(list_left_out(folder, names))
    return {"images": len(table), "increments": counts, "split": split, "left_out": left_out}


def list_rows(external: ExternalSet, names: ClassNames) -> pd.DataFrame:
    """Return file, class, label and increment of every image file, increment by increment."""
    folder = Path(external.folder)
    images = list_images(folder, names)
    return pd.DataFrame(
        {
            "file": [path.relative_to(folder).as_posix() for path, _ in images],
            "class": [names.names[label] for _, label in images],
            "label": [label for _, label in images],
            "increment": increments_of(folder, images, external.increment),
        }
    ).sort_values("increment", kind="stable")


def formation_of(folder: Path) -> int:
    """Return the factor f (f x f images in each stored one) from the provenance; 1 without one."""
    return next((read_json(path)["formation"] for path in provenance_of(folder)), 1)


def held_image(stored: Image.Image, number: int, factor: int) -> Image.Image:
    """Return one of the factor x factor images in a stored image, enlarged to its full size."""
    pixels, labels = pil_to_tensor(stored)[None], torch.zeros(1)
    return to_pil_image(unpack_stored(pixels, labels, factor)[0][number])
