"""The common part of all kinds of data sets whose images lie in class folders.

Does not import PyTorch, since every run imports this module.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.image_files import entries, file_status, is_image, walk
from lgd_core.base.listings import Listing
from lgd_core.config.classes import class_folders
from lgd_core.config.data_kinds import Keys, Wanted
from lgd_core.config.models.base import DisagreementError
from lgd_core.data.kind import DataKind, Files

if TYPE_CHECKING:
    from lgd_core.data.parts import Part

PARTS = ("train", "val")
# Paths of images with the labels of their classes.
Labelled = list[tuple[str, int]]


class TreeKind(DataKind[Keys]):
    """Two folders of class folders, one for training and one for testing.

    Files are read where they lie. A kind that fetches them overrides ``images_root``.
    """

    # Possible names of the folder of test images beside ``train``; the first that exists is read.
    tests: tuple[str, ...] = ("val",)
    of_files = True
    # Whether class folders are named by wnid; folders of other classes are then ignored.
    of_wnids: bool = True
    # Whether the files are a public data set: too many to check one by one before every run.
    published: bool = False

    def base(self, root: Path) -> Path:
        """Return the folder that contains the folders of training and test images."""
        return root

    def is_flat(self, part: Path) -> bool:
        """Whether a part directly contains images, without class folders."""
        return False

    def check_part(self, data: Wanted[Keys], root: Path, part: Path) -> None:
        """Raise UserError unless a part has a folder for every class."""
        class_folders(part, data.classes, data.wnids, others=self.of_wnids)

    def part_images(self, data: Wanted[Keys], root: Path, part: Path) -> Labelled:
        """Return the images of a part, sorted by folder, then name."""
        found = self._class_files(data, part).items()
        return [(path, label) for label, paths in found for path in paths if is_image(path)]

    def check_images(self, data: Wanted[Keys], root: Path, train: Labelled, test: Labelled) -> None:
        """Raise UserError if the images are not those of this kind of data set."""

    def check(self, data: Wanted[Keys]) -> None:
        if self.of_wnids and not data.wnids:
            kind = data.source.kind
            raise DisagreementError("classes", f"found plain names, expected wnids for {kind}")

    def check_folder(self, data: Wanted[Keys], root: Path) -> None:
        for part in self.parts(root):
            self.check_part(data, root, part)

    def list_files(self, data: Wanted[Keys], root: Path) -> Listing:
        # A kind with one folder for both has the first name alone.
        parts = zip(PARTS, self.parts(root), self.images(data, root), strict=False)
        files = {
            f"{name}/{_below(path, part)}": path
            for name, part, images in parts
            for path, _ in images
        }
        folders = self.watch_folders(data, root)
        return Listing(files, published=self.published, folders=folders)

    def watch_folders(self, data: Wanted[Keys], root: Path) -> dict[str, int]:
        if not self.published:
            return {}
        watched: dict[str, int] = {}
        for name, part in zip(PARTS, self.parts(root), strict=True):
            flat = self.is_flat(part)
            own = [] if flat else class_folders(part, data.classes, data.wnids, self.of_wnids)
            for folder in (part, *own):
                place = f"{name}/{_below(str(folder), part)}" if folder != part else name
                watched[place] = file_status(folder).st_mtime_ns
        return watched

    def fetch(self, source: Keys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        self.parts(Path(source.folder or raw))
        return {"served_by": source.folder}

    def images_root(self, source: Keys, raw: Path) -> Path:
        return Path(source.folder or raw)

    def read(self, name: str, data: Wanted[Keys], root: Path, files: Files) -> "tuple[Part, Part]":
        train, test = self.images(data, root)
        return self.part(data, root, train, files), self.part(data, root, test, files)

    def part(self, data: Wanted[Keys], root: Path, images: Labelled, files: Files) -> "Part":
        """Return images below ``root`` as a part, which decodes them when they are read."""
        import numpy as np

        from lgd_core.base.decoding import decode
        from lgd_core.data.parts import Part

        paths, labels = zip(*images, strict=True)
        channels = data.image.channels
        return Part(
            np.array(labels, np.int64),
            lambda n: decode(paths[n], channels, files.read),
            files=np.array([os.fsencode(_below(path, root)) for path in paths]),
        )

    def list_left_out(self, data: Wanted[Keys], root: Path) -> list[str]:
        left_out = []
        for part in self.parts(root):
            flat = self.is_flat(part)
            beside = [entry.path for entry in entries(part) if not entry.is_dir()]
            left_out += [path for path in beside if not (flat and is_image(path))]
            if not flat:
                files = self._class_files(data, part).values()
                left_out += [path for paths in files for path in paths if not is_image(path)]
        return [_below(path, root) for path in left_out]

    def parts(self, root: Path) -> tuple[Path, ...]:
        """Return the folders of training and test images.

        Raises MissingFolderError if the root is missing, UserError if only one of the folders is.
        """
        base = self.base(root)
        tests = [base / name for name in self.tests]
        test = next((part for part in tests if part.is_dir()), tests[0])
        for part in (base / "train", test):
            if not part.is_dir():
                wrong = UserError if root.is_dir() else MissingFolderError
                raise wrong(f"no folder {part}, expected {self.expected}")
        return base / "train", test

    def images(self, data: Wanted[Keys], root: Path) -> tuple[Labelled, ...]:
        """Return the training images and the test images.

        Raises UserError if a class has no image in one of them, or if the images are not those of
        this kind of data set.
        """
        train, test = (self.all_classes(data, root, part) for part in self.parts(root))
        self.check_images(data, root, train, test)
        return train, test

    def all_classes(self, data: Wanted[Keys], root: Path, part: Path) -> Labelled:
        """Return the images of a part; raises UserError if a class has none."""
        images = self.part_images(data, root, part)
        seen = {label for _, label in images}
        for label, name in enumerate(data.wnids or data.classes):
            if label not in seen:
                raise UserError(f"{part}: found no images of class {name}, expected at least one")
        return images

    def _class_files(self, data: Wanted[Keys], part: Path) -> dict[int, list[str]]:
        """Return all files of every class by label, in the order of the classes' folders."""
        folders = class_folders(part, data.classes, data.wnids, others=self.of_wnids)
        labels = {str(folder): label for label, folder in enumerate(folders)}
        seen: dict[tuple[int, int], str] = {}
        return {labels[folder]: walk(folder, seen) for folder in sorted(labels)}


def _below(path: str, folder: Path) -> str:
    """Return the path of a file as seen from a folder above it."""
    return path.removeprefix(f"{folder}{os.sep}")
