"""Where real images lie on disk: a source's folder, its parts, and the files of every class."""

import os
from collections.abc import Callable
from pathlib import Path

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.image_files import entries, is_image, list_fonts, walk
from lgd_core.base.listings import Listing
from lgd_core.config.classes import class_folders
from lgd_core.config.imagenet import (
    check_fastai,
    check_ilsvrc,
    find_ground_truth,
    flat_images,
    is_flat,
)
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.config.settings import SourceSettings

VARIABLE = "LGD_DATA"
# What the folder of each kind of source has to be; other kinds have none of their own.
EXPECTED = {
    "imagenet": "the root of ILSVRC-2012, with train/WNID/ and val/",
    "fastai": "an archive of fast.ai or what it unpacks to, with train/WNID/ and val/WNID/",
    "folder": "class folders under train/ and test/ or val/",
}
# Sets that everybody has alike, with too many files to look at one by one before every run.
PUBLISHED = ("imagenet", "fastai")
PARTS = ("train", "val")


def compares_with_paper(source: SourceConfig) -> bool:
    """Whether the paper's numbers may stand beside a data set's own: all of ImageNet's images.

    That it is ImageNet is checked wherever its images are listed, see list_source.
    """
    return source.kind == "imagenet" and source.complete


def resolve_source(data: SourceSettings, where: str) -> SourceConfig:
    """Return a data set's source with its folder: its own, or else that of ``LGD_DATA``.

    Raises MissingFolderError where there is no such folder, and UserError unless it has its parts
    and one folder per class in them.
    """
    source, (named, folder) = data.source, _named_folder(data.source, where)
    kind = source.kind
    if folder is None and kind in ("imagenet", "folder"):
        raise MissingFolderError(
            f"{named}: found none and {VARIABLE} unset, expected {EXPECTED[kind]}"
        )
    if folder is None:
        return source
    if kind in EXPECTED:
        with_prefix(named, check_folder, data, Path(folder))
    elif kind == "fonts" and not Path(folder).is_dir():
        raise MissingFolderError(f"{named}: found no folder {folder}, expected a folder of fonts")
    return source.model_copy(update={"folder": folder})


def _named_folder(source: SourceConfig, where: str) -> tuple[str, str | None]:
    """Return the key or variable that names a source's folder, and the folder."""
    if source.folder is None and source.kind in EXPECTED and os.environ.get(VARIABLE):
        return VARIABLE, expand_path(os.environ[VARIABLE], VARIABLE)
    return f"{where}: source.folder", source.folder


def source_folder(source: SourceConfig, where: str) -> str | None:
    """Return the folder of a data set's source, whether it is there or not; None without one."""
    return _named_folder(source, where)[1]


def with_prefix(named: str, function: Callable, *arguments: object) -> object:
    """Call a function; what is wrong with its files gets the name of the key that led there."""
    try:
        return function(*arguments)
    except UserError as error:
        raise type(error)(f"{named}: {error}") from error
    except OSError as error:
        raise UserError(f"{named}: {error}") from error


def check_folder(data: SourceSettings, root: Path) -> None:
    """Raise UserError unless ``root`` holds what the source and the classes ask for."""
    kind = data.source.kind
    if kind == "fastai":
        root = find_archive(data.source.archive, root)
        if root.is_file():
            return
    for part in tree_parts(kind, root):
        if kind == "imagenet" and is_flat(part):
            find_ground_truth(root)
        else:
            class_folders(part, data.classes, data.wnids, others=kind != "folder")


def find_archive(name: str, path: Path) -> Path:
    """Return the archive, or the folder it was unpacked to, that ``path`` leads to.

    ``path`` is either itself, or a folder that holds either under its own name.
    """
    if path.is_file():
        return path
    for candidate in (path / name, path):
        if (candidate / "train").is_dir():
            return candidate
    if (path / f"{name}.tgz").is_file():
        return path / f"{name}.tgz"
    wrong = UserError if path.is_dir() else MissingFolderError
    raise wrong(f"{path}: found neither {name} nor {name}.tgz, expected {EXPECTED['fastai']}")


def tree_parts(kind: str, root: Path) -> tuple[Path, Path]:
    """Return the folders of training and test images.

    Raises UserError where one is missing, MissingFolderError where the root is.
    """
    nested = root / "ILSVRC" / "Data" / "CLS-LOC"  # as Kaggle packs ImageNet
    base = nested if kind == "imagenet" and nested.is_dir() else root
    tests = [base / name for name in (("test", "val") if kind == "folder" else ("val",))]
    test = next((part for part in tests if part.is_dir()), tests[0])
    for part in (base / "train", test):
        if not part.is_dir():
            wrong = UserError if root.is_dir() else MissingFolderError
            raise wrong(f"no folder {part}, expected {EXPECTED[kind]}")
    return base / "train", test


def images_root(source: SourceConfig, raw: Path) -> Path:
    """Return where the files of a source lie once they are fetched: its folder, or ``raw``."""
    kind, folder = source.kind, source.folder and Path(source.folder)
    if kind == "fastai":
        found = folder and find_archive(source.archive, folder)
        return found if found and found.is_dir() else raw / source.archive / source.archive
    return folder if folder and kind in ("imagenet", "folder", "fonts") else raw


def list_source(data: SourceSettings, where: str) -> Listing | None:
    """Return the files that a data set's arrays are made of; None where the workflow brings them.

    Everything that can be known from names and numbers of files is checked: raises UserError, and
    MissingFolderError where there is no folder.
    """
    named, _ = _named_folder(data.source, where)
    source = resolve_source(data, where)
    if source.folder is None or source.kind not in (*EXPECTED, "fonts"):
        return None
    return with_prefix(named, list_files, data, Path(source.folder))


def list_files(data: SourceSettings, root: Path) -> Listing:
    """Return the files under the root of a source, by names that do not depend on the root."""
    kind = data.source.kind
    if kind == "fonts":
        return Listing({str(path.relative_to(root)): str(path) for path in list_fonts(root)})
    if kind == "fastai":
        root = find_archive(data.source.archive, root)
        if root.is_file():
            return Listing({f"{data.source.archive}.tgz": str(root)}, published=True)
    parts = zip(PARTS, tree_parts(kind, root), list_images(data, root), strict=True)
    files = {
        f"{name}/{os.path.relpath(path, part)}": path
        for name, part, images in parts
        for path, _ in images
    }
    return Listing(files, published=kind in PUBLISHED)


def list_images(data: SourceSettings, root: Path) -> list[list[tuple[str, int]]]:
    """Return (path, label) of the training images and of the test images, sorted by folder, name.

    Raises UserError where a class has no image in one of them, and where images are not those of
    the kind of source.
    """
    source, wnids = data.source, data.wnids
    train, test = (_part_images(data, root, part) for part in tree_parts(source.kind, root))
    if source.kind == "imagenet":
        check_ilsvrc(root, {"train": train, "val": test}, wnids, source.complete)
    if source.kind == "fastai":
        check_fastai(root, test)
    return [train, test]


def _part_images(data: SourceSettings, root: Path, part: Path) -> list[tuple[str, int]]:
    source, classes, wnids = data.source, data.classes, data.wnids
    if source.kind == "imagenet" and is_flat(part):
        images = flat_images(root, part, wnids, source.complete)
    else:
        found = class_files(data, part).items()
        images = [(path, label) for label, paths in found for path in paths if is_image(path)]
    seen = {label for _, label in images}
    for label, name in enumerate(wnids or classes):
        if label not in seen:
            raise UserError(f"{part}: found no images of class {name}, expected at least one")
    return images


def class_files(data: SourceSettings, part: Path) -> dict[int, list[str]]:
    """Return all files of every class by label, in the order of the classes' folders."""
    others = data.source.kind != "folder"
    folders = class_folders(part, data.classes, data.wnids, others=others)
    labels = {str(folder): label for label, folder in enumerate(folders)}
    seen: dict[tuple[int, int], str] = {}
    return {labels[folder]: walk(folder, seen) for folder in sorted(labels)}


def list_left_out(data: SourceSettings, root: Path) -> list[str]:
    """Return the files beside the images of a tree that are not read, by their path in it."""
    left_out = []
    for part in tree_parts(data.source.kind, root):
        flat = data.source.kind == "imagenet" and is_flat(part)
        beside = [entry.path for entry in entries(part) if not entry.is_dir()]
        left_out += [path for path in beside if not (flat and is_image(path))]
        if not flat:
            files = class_files(data, part).values()
            left_out += [path for paths in files for path in paths if not is_image(path)]
    return [os.path.relpath(path, root) for path in left_out]
