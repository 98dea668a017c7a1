"""What is in a folder of a user's own images: parts, classes, sizes, colours, broken files.

Does not import PyTorch. The names of all files are read, the contents of a sample of them.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageOps

from lgd_core.base.decoding import decode
from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.image_files import entries, is_image, walk
from lgd_core.config.classes import class_folders

# Images decoded at most, and how many of them mean and standard deviation are measured on.
LOOKED_AT, MEASURED = 2000, 500
# Names of the folder of test images, as the kind of data set folder has them, the first first.
TESTS = ("test", "val")
# Colours are looked for at this side; channels of grey JPEGs differ by 1 or 2 of 255.
SMALL_SIDE, GREY = 64, 8

Images = dict[str, list[str]]


@dataclass(frozen=True)
class Parts:
    """The folders of training and test images; ``test`` is None where nobody has divided them."""

    train: Path
    test: Path | None


@dataclass(frozen=True)
class Looks:
    """What a sample of the images looks like; broken files are those of it, with the reasons."""

    sizes: list[tuple[int, int]]
    coloured: int
    broken: dict[str, str]

    @property
    def short_sides(self) -> tuple[int, int, int]:
        """Least, median and greatest length of the short sides in pixels."""
        sides = sorted(map(min, self.sizes))
        return sides[0], round(median(sides)), sides[-1]


@dataclass(frozen=True)
class Survey:
    """A folder of images: its parts, its files by class, in label order, and their looks.

    Broken files are not among those of ``train`` and ``test``; ``left_out`` are no images.
    """

    parts: Parts
    train: Images
    test: Images
    looks: Looks
    left_out: list[str]

    @property
    def classes(self) -> list[str]:
        """The names of the class folders, in label order."""
        return list(self.train)


def survey(folder: str, log: Callable[[str], None]) -> Survey:
    """Return what is in a folder; ``log`` is told before images are decoded.

    Raises UserError if it is not there, has fewer than two class folders, a class without images,
    or other classes of test images than of training images.
    """
    parts = find_parts(Path(folder))
    classes = class_names(parts.train)
    left_out: list[str] = []
    train = list_images(parts.train, classes, left_out)
    test = list_images(parts.test, classes, left_out) if parts.test else {}
    lists = [*train.values(), *test.values()]
    sample = evenly(lists, LOOKED_AT)
    log(f"looking at {len(sample)} of {sum(map(len, lists))} images")
    looks = look(sample)
    return Survey(parts, _whole(train, looks), _whole(test, looks), looks, left_out)


def find_parts(root: Path) -> Parts:
    """Return the parts of a folder: ``train`` and ``test`` or ``val``, or else one for both."""
    if not root.is_dir():
        raise UserError(f"{root}: found no such folder, expected one with class folders")
    # A class may be called so too; its folder has images.
    found = [name for name in ("train", *TESTS) if _folder_names(root / name)]
    if "train" not in found:
        return Parts(root, None)
    return Parts(root / "train", root / found[1] if found[1:] else None)


def class_names(part: Path) -> list[str]:
    """Return the names of the class folders of a part: in order of numbers, or else of names."""
    found = _folder_names(part)
    if len(found) < 2:
        named = f"{len(found)} class folders" if not found else f"1 class folder ({found[0]})"
        raise UserError(f"{part}: found {named}, expected at least 2, one for each class")
    return sorted(found, key=int) if all(map(str.isdecimal, found)) else found


def list_images(part: Path, classes: list[str], left_out: list[str]) -> Images:
    """Return the image files of every class; all others are added to ``left_out``.

    Raises UserError for a class without images, and unless the part has a folder for each class.
    """
    images: Images = {}
    for name, folder in zip(classes, class_folders(part, classes), strict=True):
        files = walk(folder)
        images[name] = [path for path in files if is_image(path)]
        left_out += [path for path in files if not is_image(path)]
        if not images[name]:
            raise UserError(f"{part}: found no images of class {name}, expected at least one")
    return images


def evenly(lists: Sequence[list[str]], count: int) -> list[str]:
    """Return about ``count`` items of lists in all, as many of each, evenly spread over each."""
    each = max(1, count // len(lists))
    return [
        items[place * len(items) // min(each, len(items))]
        for items in lists
        for place in range(min(each, len(items)))
    ]


def look(paths: Sequence[str]) -> Looks:
    """Decode a sample of images. Raises UserError if all of it is broken."""
    sizes: list[tuple[int, int]] = []
    coloured, broken = 0, dict[str, str]()
    for path in paths:
        try:
            image = _decoded(path)
        except BrokenFileError as error:
            broken[path] = str(error)
            continue
        sizes.append(image.size)
        coloured += _is_coloured(image)
    if not sizes:
        raise UserError(f"{broken[paths[0]]}; all of {len(paths)} images are broken")
    return Looks(sizes, coloured, broken)


def measure(paths: Sequence[str], size: int, channels: int) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel, on [0, 1], of images fitted to ``size``.

    Raises UserError if a channel has one value only, by which nothing can be divided.
    """
    sums = np.zeros((2, channels))
    for path in paths:
        fitted = ImageOps.fit(_decoded(path, channels), (size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(fitted).reshape(size * size, channels) / 255
        sums += pixels.mean(0), (pixels**2).mean(0)
    mean, square = sums / len(paths)
    std = np.sqrt(np.maximum(square - mean**2, 0))
    if std.min() < 1e-4:
        raise UserError(f"{paths[0]}: found one shade, as in all others, expected images that vary")
    return mean.round(4).tolist(), std.round(4).tolist()


def _decoded(path: str, channels: int = 3) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of odd EXIF and of large images; broken images raise errors anyway.
        warnings.filterwarnings("ignore", module="PIL")
        return decode(path, channels)


def _is_coloured(image: Image.Image) -> bool:
    pixels = np.asarray(image.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BOX))
    return bool(np.ptp(pixels.astype(int), axis=2).max() > GREY)


def _folder_names(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, without hidden ones; none if it is not there."""
    found = entries(folder) if folder.is_dir() else []
    return [entry.name for entry in found if entry.is_dir() and entry.name[0] != "."]


def _whole(images: Images, looks: Looks) -> Images:
    return {name: [p for p in paths if p not in looks.broken] for name, paths in images.items()}
