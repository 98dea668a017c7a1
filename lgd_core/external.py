"""Folders of images from elsewhere: what a run says of them, their files, labels, increments.

Free of PyTorch: it is read before every run, by every job.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from lgd_core.classes import class_folders
from lgd_core.errors import UserError
from lgd_core.schema import suggest

# As in torchvision.datasets.folder, which takes seconds to import; a test compares them.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
LISTED = 5
DEFAULT_INCREMENT = 10


def resolve_external(config: dict, datasets: list[str], methods: list[str]) -> dict[str, dict]:
    """Return ``folder``, ``dataset`` and ``increment`` of every name under ``external`` of a run.

    Raises UserError for a folder that is not there, an unknown data set, none where the run has
    several, and a name that a data set, a method or another spelling of it has already.
    """
    if "external" in datasets:
        raise UserError("datasets: the name 'external' is reserved, expected another file name")
    taken = dict.fromkeys(map(str.lower, datasets), "dataset")
    taken |= dict.fromkeys(map(str.lower, methods), "method")
    resolved = {}
    for name, entry in config["external"].items():
        where = f"config: external.{name}"
        if kind := taken.get(str(name).lower()):
            raise UserError(f"{where}: found the name of a {kind}, expected one of its own")
        taken[str(name).lower()] = "folder under external"
        given = {"folder": entry} if isinstance(entry, str) else entry
        resolved[str(name)] = _resolve(given, config["datasets"], datasets, where)
    return resolved


def _resolve(given: dict, of_run: list[str], datasets: list[str], where: str) -> dict:
    dataset = given.get("dataset") or (of_run[0] if len(of_run) == 1 else None)
    if dataset is None:
        raise UserError(
            f"{where}.dataset: missing, expected one of {', '.join(of_run)}, since the run has "
            "several data sets"
        )
    if dataset not in datasets:
        raise UserError(f"{where}.dataset: unknown dataset '{dataset}'{suggest(dataset, datasets)}")
    folder = Path(given["folder"]).expanduser()
    if not folder.is_dir():
        raise UserError(f"{where}.folder: found no folder {folder}, expected class folders in it")
    increment = given.get("increment", DEFAULT_INCREMENT)
    return {"folder": str(folder), "dataset": dataset, "increment": increment}


def list_images(folder: str | Path, dataset: dict) -> list[tuple[Path, int]]:
    """Return (path, label) of a tree's images, class by class, by file name, ``2`` before ``10``.

    ``dataset`` has ``classes`` and perhaps ``wnids``, see classes.class_folders. Raises UserError
    where folders do not match the classes or one has no image.
    """
    images = []
    folders = class_folders(folder, dataset["classes"], dataset.get("wnids", ()))
    for label, path in enumerate(folders):
        found = sorted((p for p in path.rglob("*") if _is_image(p)), key=_natural)
        if not found:
            raise UserError(f"{path}: found no images, expected at least one")
        images += [(file, label) for file in found]
    return images


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> list:
    """Return a key that sorts numbers within names as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]


def manifest_of(folder: str | Path) -> list[Path]:
    """Return the manifest of a tree, in a list; an empty one where it has none."""
    path = Path(folder) / "manifest.csv"
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
    increments = []
    for _, label in images:
        position = positions.get(label, 0)
        positions[label] = position + 1
        increments.append(position // size)
    return increments


def _from_manifest(path: Path, files: list[str]) -> list[int]:
    with open(path, newline="") as stream:
        reader = csv.DictReader(stream)
        missing = {"file", "increment"} - set(reader.fieldnames or ())
        rows = list(reader)
    if missing:
        raise UserError(
            f"{path}: found columns {', '.join(reader.fieldnames or ()) or 'none'}, expected file "
            "and increment"
        )
    listed = {Path(row["file"]).as_posix(): row["increment"] for row in rows}
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


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return (", ".join(names[:LISTED]) or "none") + (" ..." if len(names) > LISTED else "")
