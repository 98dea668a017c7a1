"""Folders of images from elsewhere: what a run says of them, their files, labels, increments.

Free of PyTorch: it is read before every run, by every job.
"""

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.image_files import entries, is_image, read_bytes, walk
from lgd_core.base.listings import Listing
from lgd_core.config.classes import class_folders
from lgd_core.config.models.run import ExternalConfig, RunConfig
from lgd_core.config.schema import suggest
from lgd_core.config.settings import ClassNames

LISTED = 5
# What a set of our own has beside its class folders.
MANIFEST, PROVENANCE = "manifest.csv", "provenance.json"


@dataclass(frozen=True)
class ExternalSet:
    """A folder of images from elsewhere, the data set of its classes, images per increment."""

    folder: str
    dataset: str
    increment: int


def resolve_external(
    run: RunConfig, datasets: list[str], methods: list[str]
) -> dict[str, ExternalSet]:
    """Return the set behind every name under ``external`` of a run.

    Raises UserError for an unknown data set, none where the run has several, and a name that a data
    set, a method or another spelling of it has already.
    """
    if "external" in datasets:
        raise UserError("datasets: the name 'external' is reserved, expected another file name")
    taken = dict.fromkeys(map(str.lower, datasets), "dataset")
    taken |= dict.fromkeys(map(str.lower, methods), "method")
    resolved: dict[str, ExternalSet] = {}
    for name, entry in run.external.items():
        where = f"config: external.{name}"
        if kind := taken.get(str(name).lower()):
            raise UserError(f"{where}: found the name of a {kind}, expected one of its own")
        taken[str(name).lower()] = "folder under external"
        given = ExternalConfig(folder=entry) if isinstance(entry, str) else entry
        resolved[str(name)] = _resolve(given, run.datasets, datasets, where)
    return resolved


def _resolve(
    given: ExternalConfig, of_run: list[str], datasets: list[str], where: str
) -> ExternalSet:
    dataset = given.dataset or (of_run[0] if len(of_run) == 1 else None)
    if dataset is None:
        raise UserError(
            f"{where}.dataset: missing, expected one of {', '.join(of_run)}, since the run has "
            "several data sets"
        )
    if dataset not in datasets:
        raise UserError(f"{where}.dataset: unknown dataset '{dataset}'{suggest(dataset, datasets)}")
    return ExternalSet(expand_path(given.folder, f"{where}.folder"), dataset, given.increment)


def list_set(name: str, external: ExternalSet, names: ClassNames) -> Listing:
    """Return the images of a folder of the run and what is said of them, by their paths in it.

    Everything that can be known before images are decoded is checked: raises UserError, and
    MissingFolderError where there is no folder.
    """
    where, folder = f"config: external.{name}.folder", Path(external.folder)
    if not folder.is_dir():
        raise MissingFolderError(f"{where}: found no folder {folder}, expected class folders in it")
    images = list_images(folder, names)
    increments_of(folder, images, external.increment)
    files = [path for path, _ in images] + manifest_of(folder) + provenance_of(folder)
    return Listing({path.relative_to(folder).as_posix(): str(path) for path in files})


def list_images(folder: str | Path, names: ClassNames) -> list[tuple[Path, int]]:
    """Return (path, label) of a tree's images, class by class, by file name, ``2`` before ``10``.

    Folders are matched as classes.class_folders does. Raises UserError where folders do not match
    the classes or one has no image.
    """
    images: list[tuple[Path, int]] = []
    walked: dict[tuple[int, int], str] = {}
    folders = class_folders(folder, names.names, names.wnids)
    for label, path in enumerate(folders):
        found = sorted((Path(p) for p in walk(path, walked) if is_image(p)), key=_natural)
        if not found:
            raise UserError(f"{path}: found no images, expected at least one")
        images += [(file, label) for file in found]
    return images


def list_left_out(folder: str | Path, names: ClassNames) -> list[str]:
    """Return the files beside the images of a tree that are not read, by their path in it."""
    read = (MANIFEST, PROVENANCE)
    beside = [e.path for e in entries(folder) if not e.is_dir() and e.name not in read]
    folders = class_folders(folder, names.names, names.wnids)
    files = [path for each in folders for path in walk(each)]
    left_out = beside + [path for path in files if not is_image(path)]
    return [os.path.relpath(path, folder) for path in left_out]


def seed_images(folder: str | Path, names: ClassNames, count: int) -> list[Path]:
    """Return the first ``count`` images by name of every class folder of a seed.

    Folders are matched as those of a data set are, see classes.class_folders. Raises UserError
    where folders or images are too few.
    """
    images: list[Path] = []
    for path in class_folders(folder, names.names, names.wnids):
        found = [Path(e.path) for e in entries(path) if is_image(e.name) and not e.is_dir()]
        if len(found) < count:
            raise UserError(f"{path}: found {len(found)} images, expected {count}")
        images += found[:count]
    return images


def list_seed(folder: str, names: ClassNames, count: int, where: str) -> Listing:
    """Return the images of a seed that is read from a folder, by their paths in it.

    Raises UserError as seed_images does, and MissingFolderError where there is no folder.
    """
    if not Path(folder).is_dir():
        raise MissingFolderError(f"{where}: seed.folder: found {folder!r}, expected a folder")
    images = seed_images(folder, names, count)
    return Listing({path.relative_to(folder).as_posix(): str(path) for path in images})


def _natural(path: Path) -> list[int | str]:
    """Return a key that sorts numbers within names as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def manifest_of(folder: str | Path) -> list[Path]:
    """Return the manifest of a tree, in a list; an empty one where it has none."""
    path = Path(folder) / MANIFEST
    return [path] if path.is_file() else []


def provenance_of(folder: str | Path) -> list[Path]:
    """Return what a set of our own says of itself, in a list; an empty one for other trees."""
    path = Path(folder) / PROVENANCE
    return [path] if path.is_file() else []


def increments_of(folder: str | Path, images: list[tuple[Path, int]], size: int) -> list[int]:
    """Return the increment of every image: the manifest's, or else ``size`` per class in turn.

    A manifest has a row per image with its ``file``, relative to the folder, and its ``increment``.
    The last increment in turn may be smaller. Raises UserError for a manifest of other columns or
    files, and where increments are not numbered 0, 1, 2, ...
    """
    if manifest := manifest_of(folder):
        files = [path.relative_to(folder).as_posix() for path, _ in images]
        return _from_manifest(manifest[0], files)
    positions: dict[int, int] = {}
    increments: list[int] = []
    for _, label in images:
        position = positions.get(label, 0)
        positions[label] = position + 1
        increments.append(position // size)
    return increments


def _from_manifest(path: Path, files: list[str]) -> list[int]:
    listed = _read_manifest(path)
    if set(listed) != set(files):
        raise UserError(
            f"{path}: found {len(listed)} files, expected the {len(files)} of the folder "
            f"(not listed: {_some(set(files) - set(listed))}; "
            f"not there: {_some(set(listed) - set(files))})"
        )
    numbers = [int(listed[file]) if listed[file].isdecimal() else -1 for file in files]
    if set(numbers) != set(range(max(numbers) + 1)):
        found = ", ".join(sorted(set(listed.values()))[:LISTED])
        raise UserError(f"{path}: increment: found {found}, expected numbers from 0 without a gap")
    return numbers


def _read_manifest(path: Path) -> dict[str, str]:
    """Return file -> increment, as text; raises UserError for what is no such table."""
    expected = "expected a table in UTF-8 with the columns file and increment"
    try:
        text = read_bytes(path).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        columns, rows = reader.fieldnames or (), list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: found no table ({error}), {expected}") from error
    if not {"file", "increment"} <= set(columns):
        raise UserError(f"{path}: found columns {', '.join(columns) or 'none'}, {expected}")
    listed: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not row["file"] or row["increment"] is None:
            raise UserError(f"{path}: row {number}: found an empty cell, {expected}")
        file = Path(row["file"]).as_posix()
        if file in listed:
            raise UserError(f"{path}: row {number}: found {file} again, expected every file once")
        listed[file] = row["increment"].strip()
    return listed


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return (", ".join(names[:LISTED]) or "none") + (" ..." if len(names) > LISTED else "")
