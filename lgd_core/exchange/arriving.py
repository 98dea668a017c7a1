"""Sets from elsewhere: listed before any job, then read into arrays that jobs memory-map."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import BrokenFileError, MissingFolderError, UserError
from lgd_core.base.image_files import read_bytes, summarise
from lgd_core.base.listings import Listing
from lgd_core.config.external import PROVENANCE, ExternalSet
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.settings import ClassNames
from lgd_core.data.arrays import write_images, write_rows
from lgd_core.exchange.form import Arriving, Form, Opening, forms
from lgd_core.exchange.listing import said_by


def find_form(path: Path, classes: ClassNames) -> tuple[str, Form, list[Path]]:
    """Return the form of a set with its name, and its files; raises UserError if it has none."""
    for name, form in forms().items():
        if form.find and (files := form.find(path, classes)):
            return name, form, files
    raise UserError(
        f"{path}: found a file of another kind, expected a folder, .parquet, .tar, .safetensors "
        "or .pt"
    )


def list_set(name: str, external: ExternalSet, classes: ClassNames) -> Listing:
    """Return the files of a set of the run, by their paths in it.

    All is checked that can be known before images are decoded: raises UserError, and
    MissingFolderError where there is nothing.
    """
    path = Path(external.folder)
    if not path.exists():
        where = f"config: external.{name}.folder"
        raise MissingFolderError(f"{where}: found no folder {path}, expected class folders in it")
    root = path if path.is_dir() else path.parent
    files = find_form(path, classes)[2]
    return Listing({file.relative_to(root).as_posix(): str(file) for file in files})


def read_set(
    external: ExternalSet,
    image: StoredImageConfig,
    classes: ClassNames,
    files: dict[str, str],
    threads: int,
    log: Callable[[str], None],
    read: Callable[[str | Path], bytes] = read_bytes,
) -> dict[str, Any]:
    """Write a set's images and labels as arrays, and a table of its images.

    Returns the set's form, the numbers of its images, the files that are left out, and the weights
    of stored images, in the arrays' order, if they are not all alike. ``files``
    has the paths of the outputs: ``images``, uint8 (N, C, H, W) at the data set's size; ``labels``,
    int64 (N,); and ``table``, one row per image with file, class, label and increment. All are
    sorted by increment, then class, as in a set made by this workflow. Where a stored image holds
    f x f smaller ones, arrays have the former, and the table a row for each of the latter, named
    FILE#0, FILE#1, ... Raises UserError for an image that cannot be decoded.
    """
    path = Path(external.folder)
    name, form, found = find_form(path, classes)
    if form.open is None:  # forms that are found can be opened
        raise ValueError(f"{name}: found no way to open it")
    arriving = form.open(Opening(path, found, external, classes, image.channels, read))
    factor = formation_of(external)
    table = in_order(path, arriving, external.increment, classes.names)
    order = table.pop("number").to_numpy()
    weights = _weights(path, arriving, order)

    def stop(error: BrokenFileError) -> None:
        raise error

    sizes = {Path(files["images"]): image.size}
    picture = lambda row: arriving.read(int(order[row]))  # noqa: E731
    write_images(sizes, picture, len(table), image.channels, threads, stop, "set")
    write_rows(Path(files["labels"]), table["label"].to_numpy(np.int64))
    seen = _held(table, factor**2)
    write_csv(seen, files["table"])
    by_size = f"file order, {external.increment} each"
    split = by_size if arriving.increments is None else "the set's own"
    log(f"{name}: {len(table)} stored images, {len(seen)} images, increments: {split}")
    return {
        "form": name,
        "images": len(seen),
        "formation": factor,
        "increments": seen.groupby("increment").size().tolist(),
        "split": split,
        "left_out": summarise(arriving.left_out),
        **({} if weights is None else {"weights": weights}),
    }


def formation_of(external: ExternalSet) -> int:
    """Return the factor f (f x f images in each stored one): the set's own, or the entry's.

    Raises UserError where both say so and differ.
    """
    said = Path(external.folder) / PROVENANCE
    own = said_by(Path(external.folder)).formation or (1 if said.is_file() else None)
    if own is not None and external.factor not in (1, own):
        raise UserError(f"{said}: formation: found {own}, expected {external.factor}, its factor")
    return own or external.factor


def in_order(path: Path, arriving: Arriving, size: int, names: Sequence[str]) -> pd.DataFrame:
    """Return file, class, label, increment and ``number`` of every image, increment by increment.

    Where the set does not say, increments have ``size`` images per class, in turn; the last may
    have fewer. Raises UserError where they are not numbered 0, 1, 2, ...
    """
    table = pd.DataFrame(
        {
            "file": arriving.names,
            "class": [names[label] for label in arriving.labels],
            "label": arriving.labels,
            "number": range(len(arriving.names)),
        }
    )
    if arriving.increments is None:
        table.insert(3, "increment", table.groupby("label").cumcount() // size)
    else:
        found = sorted(set(arriving.increments))
        if found != list(range(len(found))):
            raise UserError(
                f"{path}: increment: found {', '.join(map(str, found[:5]))}, expected numbers from "
                "0 without a gap"
            )
        table.insert(3, "increment", arriving.increments)
    return table.sort_values(["increment", "label"], kind="stable", ignore_index=True)


def _weights(path: Path, arriving: Arriving, order: np.ndarray) -> list[float] | None:
    """Return the weights of images in a set's order; None where they are alike.

    Raises UserError for one that is not above 0.
    """
    if arriving.weights is None or len(set(arriving.weights)) == 1:
        return None
    found = np.array(arriving.weights)[order]
    if odd := [value for value in found.tolist() if not 0 < value < math.inf]:
        raise UserError(f"{path}: weight: found {odd[0]:g}, expected a number above 0")
    return found.tolist()


def _held(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return a table with a row for each of ``count`` images in each stored one."""
    if count == 1:
        return table
    held = table.loc[table.index.repeat(count)].reset_index(drop=True)
    held["file"] += [f"#{number % count}" for number in range(len(held))]
    return held
