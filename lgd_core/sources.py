"""Where real images lie on disk: a source's folder, its parts, and the files of every class."""

import os
from pathlib import Path

from lgd_core.classes import class_folders
from lgd_core.errors import UserError
from lgd_core.imagenet import find_ground_truth, flat_images, is_flat

VARIABLE = "LGD_DATA"
# What the folder of each kind of source has to be; other kinds have none of their own.
EXPECTED = {
    "imagenet": "the root of ILSVRC-2012, with train/WNID/ and val/",
    "fastai": "an archive of fast.ai or what it unpacks to, with train/WNID/ and val/WNID/",
    "folder": "class folders under train/ and test/ or val/",
}


def check_source(recipe: dict, where: str) -> None:
    """Raise UserError where a data set's classes or keys do not go with its kind of source."""
    source = recipe["source"]
    if source["kind"] in ("imagenet", "fastai") and not recipe["wnids"]:
        raise UserError(f"{where}: classes: found plain names, expected wnids for {source['kind']}")
    if source["kind"] == "fastai" and source["archive"] is None:
        raise UserError(f"{where}: source.archive: found none, expected imagenette2 or imagewoof2")
    if source["kind"] == "fonts":
        _check_fonts(source, len(recipe["classes"]), where)


def _check_fonts(source: dict, classes: int, where: str) -> None:
    if not source["packages"] and source["folder"] is None:
        raise UserError(f"{where}: source.packages: found none, expected some or a source.folder")
    if len(source["characters"]) != classes:
        raise UserError(
            f"{where}: source.characters: found {len(source['characters'])}, expected {classes}, "
            "one per class"
        )


def resolve_source(recipe: dict, where: str) -> dict:
    """Return a data set's source with its folder: the recipe's, or else that of ``LGD_DATA``.

    Raises UserError unless the folder has its parts and one folder per class in them. Looks at
    names only, so that it costs nothing before every run.
    """
    source, named = recipe["source"], f"{where}: source.folder"
    folder, kind = source["folder"], source["kind"]
    if kind not in EXPECTED:
        return source
    if folder is None and os.environ.get(VARIABLE):
        folder, named = os.environ[VARIABLE], VARIABLE
    if folder is None and kind == "fastai":
        return source
    if folder is None:
        raise UserError(f"{named}: found none and {VARIABLE} unset, expected {EXPECTED[kind]}")
    try:
        check_folder(recipe, Path(folder).expanduser())
    except (UserError, OSError) as error:
        raise UserError(f"{named}: {error}") from error
    return source | {"folder": str(Path(folder).expanduser())}


def check_folder(recipe: dict, root: Path) -> None:
    """Raise UserError unless ``root`` holds what the recipe's source and classes ask for."""
    kind = recipe["source"]["kind"]
    if kind == "fastai":
        root = find_archive(recipe["source"]["archive"], root)
        if root.is_file():
            return
    for part in tree_parts(kind, root):
        if kind == "imagenet" and is_flat(part):
            find_ground_truth(root)
        else:
            class_folders(part, recipe["classes"], recipe["wnids"], others=kind != "folder")


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
    raise UserError(f"{path}: found neither {name} nor {name}.tgz, expected {EXPECTED['fastai']}")


def tree_parts(kind: str, root: Path) -> tuple[Path, Path]:
    """Return the folders of training and test images; raises UserError where one is missing."""
    nested = root / "ILSVRC" / "Data" / "CLS-LOC"  # as Kaggle packs ImageNet
    base = nested if kind == "imagenet" and nested.is_dir() else root
    tests = [base / name for name in (("test", "val") if kind == "folder" else ("val",))]
    test = next((part for part in tests if part.is_dir()), tests[0])
    for part in (base / "train", test):
        if not part.is_dir():
            raise UserError(f"no folder {part}, expected {EXPECTED[kind]}")
    return base / "train", test


def list_images(recipe: dict, root: Path) -> list[list[tuple[str, int]]]:
    """Return (path, label) of the training images and of the test images, sorted by folder, name.

    Raises UserError where a class has no image in one of them.
    """
    return [_part_images(recipe, root, part) for part in tree_parts(recipe["source"]["kind"], root)]


def _part_images(recipe: dict, root: Path, part: Path) -> list[tuple[str, int]]:
    from torchvision.datasets.folder import make_dataset

    kind, classes, wnids = recipe["source"]["kind"], recipe["classes"], recipe["wnids"]
    if kind == "imagenet" and is_flat(part):
        images = flat_images(root, part, wnids)
    else:
        folders = class_folders(part, classes, wnids, others=kind != "folder")
        labels = {folder.name: label for label, folder in enumerate(folders)}
        images = make_dataset(part, labels, is_valid_file=_is_image, allow_empty=True)
    seen = {label for _, label in images}
    for label, name in enumerate(wnids or classes):
        if label not in seen:
            raise UserError(f"{part}: found no images of class {name}, expected at least one")
    return images


def _is_image(path: str) -> bool:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    # Hidden files are what other systems leave beside images, under names like theirs.
    return path.lower().endswith(IMG_EXTENSIONS) and not Path(path).name.startswith(".")
