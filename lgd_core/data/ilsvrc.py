"""ILSVRC-2012 on disk: checks that it is no other set, and the classes of a flat validation folder.

Does not import PyTorch, since every run imports this module.
"""

import csv
import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.image_files import entries, is_image, is_litter, read_bytes
from lgd_core.config.classes import imagenet_indices

VALIDATION = re.compile(r"ILSVRC2012_val_\d{8}")
PLACES = (".", "devkit/data", "ILSVRC2012_devkit_t12/data")
SOLUTION = "LOC_val_solution.csv"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
# Images of one class, in train and val; Russakovsky et al. (2015), Table 2.
TRAIN_IMAGES, VAL_IMAGES = (732, 1300), (50, 50)
# Files in the root of fast.ai's archives that ImageNet does not have.
FASTAI_MARKS = ("noisy_imagenette.csv", "noisy_imagewoof.csv")
LISTED = 3


def is_flat(val: Path) -> bool:
    """Whether a validation folder directly contains images, instead of class folders.

    Raises UserError if it contains both.
    """
    found = [entry for entry in entries(val) if not is_litter(entry.name)]
    folders = [entry.name for entry in found if entry.is_dir()]
    images = [entry.name for entry in found if is_image(entry.name) and not entry.is_dir()]
    if folders and images:
        raise UserError(
            f"{val}: found {len(images)} images, such as {images[0]}, beside {len(folders)} "
            f"folders, such as {folders[0]}, expected either class folders or images alone"
        )
    return bool(images)


def flat_images(root: Path, val: Path, wnids: list[str], complete: bool) -> list[tuple[str, int]]:
    """Return (path, label) of the validation images of the classes ``wnids``, sorted by name.

    Raises UserError if the ground truth is missing or broken or lacks an image. If the set is to be
    ``complete``, also raises UserError if the ground truth has more images than the folder.
    """
    truth = ground_truth(root)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    stems = {Path(entry.name).stem: entry.path for entry in entries(val) if is_image(entry.name)}
    for stem, path in stems.items():
        if stem not in truth:
            raise UserError(f"{path}: found no such image in the ground truth, expected its class")
    if complete and len(stems) < len(truth):
        missing = next(stem for stem in truth if stem not in stems)
        raise UserError(
            f"{val}: found {len(stems)} images, expected the {len(truth)} of the ground truth "
            f"(missing: {missing})"
        )
    return [(path, labels[truth[s]]) for s, path in stems.items() if truth[s] in labels]


def check_ilsvrc(
    root: Path, parts: dict[str, list[tuple[str, int]]], wnids: list[str], complete: bool
) -> None:
    """Raise UserError unless images have the names and, if ``complete``, numbers of ILSVRC-2012.

    ``parts`` has (path, label) of all images of ``train`` and ``val``. Training images are named by
    their class's wnid, validation images ILSVRC2012_val_NUMBER.
    """
    marks = [name for name in FASTAI_MARKS if (root / name).is_file()]
    strangers = [path for path, label in parts["train"] if not _is_of(path, wnids[label])]
    strangers += [path for path, _ in parts["val"] if not VALIDATION.fullmatch(_stem(path))]
    if marks or strangers:
        found = str(root / marks[0]) if marks else _some(strangers)
        raise UserError(
            f"{root}: found {found}, expected train images named WNID_NUMBER after their class and "
            "val images ILSVRC2012_val_NUMBER; source.kind is fastai for fast.ai's archives, "
            "folder for sets of one's own"
        )
    if complete:
        _check_counts(root, parts["train"], wnids, "train", TRAIN_IMAGES)
        _check_counts(root, parts["val"], wnids, "val", VAL_IMAGES)


def check_fastai(root: Path, val: Iterable[tuple[str, int]]) -> None:
    """Raise UserError if all validation images are ILSVRC-2012's: fast.ai mixes both parts."""
    if all(VALIDATION.fullmatch(_stem(path)) for path, _ in val):
        raise UserError(
            f"{root}: found val images of ILSVRC-2012 alone, expected fast.ai's archive, whose val "
            "has training images too; source.kind is imagenet for ILSVRC-2012"
        )


def _is_of(path: str, wnid: str) -> bool:
    prefix, _, number = _stem(path).partition("_")
    return prefix == wnid and number.isdecimal()


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _check_counts(
    root: Path, images: list[tuple[str, int]], wnids: list[str], part: str, allowed: tuple[int, int]
) -> None:
    """Raise UserError for the first class whose number of images is not that of ILSVRC-2012."""
    counts, (fewest, most) = Counter(label for _, label in images), allowed
    expected = f"{fewest} to {most}" if fewest < most else str(most)
    for label, wnid in enumerate(wnids):
        if not fewest <= counts[label] <= most:
            raise UserError(
                f"{root}: found {counts[label]} {part} images of class {wnid}, expected {expected} "
                "as in ILSVRC-2012, or source.complete: false for a part of it, without comparison "
                "to the paper's numbers"
            )


def _some(paths: list[str]) -> str:
    names = [str(Path(*Path(path).parts[-3:])) for path in paths[:LISTED]]
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return ", ".join(names) + more


def find_ground_truth(root: Path) -> tuple[Path, Path | None]:
    """Return the solution file, or the devkit's ground truth with its meta.mat beside it.

    Raises UserError with the names of the files and the folders that were searched.
    """
    for place in PLACES:
        if (root / place / SOLUTION).is_file():
            return root / place / SOLUTION, None
    for place in PLACES:
        truth, meta = root / place / TRUTH, root / place / META
        if truth.is_file() and meta.is_file():
            return truth, meta
    raise UserError(
        f"{root}: found a flat val without ground truth, expected {SOLUTION}, or {TRUTH} and "
        f"{META}, there or in its {' or '.join(PLACES[1:])}"
    )


def ground_truth(root: Path) -> dict[str, str]:
    """Return the wnid of every validation image by its name without suffix.

    Raises UserError if it cannot be read or has classes that are not ImageNet's.
    """
    file, meta = find_ground_truth(root)
    try:
        truth = _read_solution(file) if meta is None else _read_devkit(file, meta)
    except (LookupError, TypeError, ValueError, NotImplementedError) as error:
        names = f"{file} and {meta}" if meta else f"{file}"
        reason = " ".join(str(error).split())
        raise UserError(f"{names}: cannot be read ({reason}), expected ImageNet's own") from error
    for image, wnid in truth.items():
        if wnid not in imagenet_indices():
            raise UserError(
                f"{file}: found {image} of class {wnid}, expected one of ImageNet's 1000 wnids"
            )
    return truth


def _read_solution(file: Path) -> dict[str, str]:
    """Read Kaggle's table: image name, then wnid and box, repeated."""
    rows = csv.DictReader(read_bytes(file).decode("utf-8-sig").splitlines())
    try:
        if not {"ImageId", "PredictionString"} <= set(rows.fieldnames or ()):
            columns = ", ".join(rows.fieldnames or ()) or "none"
            raise ValueError(f"found columns {columns}, expected ImageId and PredictionString")
        return {row["ImageId"]: _wnid(row) for row in rows}
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _wnid(row: dict[str, Any]) -> str:
    words = (row["PredictionString"] or "").split()
    if not words:
        raise ValueError(f"found {row['ImageId']} without a class")
    return words[0]


def _read_devkit(file: Path, meta: Path) -> dict[str, str]:
    """Read line i as the class of image i, numbered 1 to 1000 in the devkit's own order."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
    except (MatReadError, EOFError, OSError, struct.error, zlib.error) as error:
        raise ValueError(str(error)) from error
    wnid_of = dict(zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True))
    truth = {}
    for number, line in enumerate(read_bytes(file).decode().split(), start=1):
        if int(line) not in wnid_of:
            raise ValueError(f"line {number}: found {line}, expected a class of {meta.name}")
        truth[f"ILSVRC2012_val_{number:08d}"] = wnid_of[int(line)]
    return truth
