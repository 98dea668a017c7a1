"""The official flat validation part of ILSVRC-2012: which image is of which class."""

import csv
from pathlib import Path

from lgd_core.errors import UserError

IMAGES = "ILSVRC2012_val_*.JPEG"
PLACES = (".", "devkit/data", "ILSVRC2012_devkit_t12/data")
SOLUTION = "LOC_val_solution.csv"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"


def is_flat(val: Path) -> bool:
    """Whether a validation folder holds the official images themselves, not class folders."""
    return any(val.glob(IMAGES))


def flat_images(root: Path, val: Path, wnids: list[str]) -> list[tuple[str, int]]:
    """Return (path, label) of the validation images of the classes ``wnids``, sorted by name.

    Raises UserError where the ground truth is missing or broken or does not know an image.
    """
    truth, images = ground_truth(root), []
    for path in sorted(val.glob(IMAGES)):
        if path.stem not in truth:
            raise UserError(f"{path}: found no such image in the ground truth, expected its class")
        if truth[path.stem] in wnids:
            images.append((str(path), wnids.index(truth[path.stem])))
    return images


def find_ground_truth(root: Path) -> tuple[Path, Path | None]:
    """Return the solution file, or the devkit's ground truth with its meta.mat beside it.

    Raises UserError that says what was looked for, and where.
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
        f"{META}, in {', '.join(str(root / place) for place in PLACES)}"
    )


def ground_truth(root: Path) -> dict[str, str]:
    """Return the wnid of every validation image by its name without suffix."""
    file, meta = find_ground_truth(root)
    try:
        return _read_solution(file) if meta is None else _read_devkit(file, meta)
    except (KeyError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        names = f"{file} and {meta}" if meta else f"{file}"
        raise UserError(f"{names}: cannot be read ({' '.join(str(error).split())})") from error


def _read_solution(file: Path) -> dict[str, str]:
    """Read Kaggle's table: image name, then wnid and box, repeated."""
    with open(file, newline="") as stream:
        rows = csv.DictReader(stream)
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}


def _read_devkit(file: Path, meta: Path) -> dict[str, str]:
    """Read line i as the class of image i, numbered 1 to 1000 in the devkit's own order."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
    except MatReadError as error:
        raise ValueError(str(error)) from error
    wnid_of = dict(zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True))
    return {
        f"ILSVRC2012_val_{number:08d}": wnid_of[int(line)]
        for number, line in enumerate(file.read_text().split(), start=1)
    }
