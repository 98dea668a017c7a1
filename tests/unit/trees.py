"""Trees of small images as data sets have them, and their arrays as jobs read them."""

from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from lgd_core.base.digests import file_digests
from lgd_core.base.files import write_json
from lgd_core.config.settings import SourceSettings
from lgd_core.data.real_images import load_split

WOOF = {
    "n02096294": 193,
    "n02093754": 182,
    "n02111889": 258,
    "n02088364": 162,
    "n02086240": 155,
    "n02089973": 167,
    "n02087394": 159,
    "n02115641": 273,
    "n02099601": 207,
    "n02105641": 229,
}


def shade(wnid: str) -> tuple[int, int, int]:
    """Return a colour that tells which class an image is of, whatever folder or label it has."""
    return (20 * list(WOOF).index(wnid), 255 - 20 * list(WOOF).index(wnid), 60)


def class_tree(root: Path, wnids: list[str], train: int = 4, test: int = 2) -> Path:
    """Write class folders under train/ and val/ of PNG named .JPEG, 20 x 12, each of its shade."""
    for place, wnid in enumerate(wnids):
        for i in range(train):
            write_image(root / "train" / wnid / f"{wnid}_{i}.JPEG", wnid)
        for i in range(test):
            number = 1 + place * test + i
            write_image(root / "val" / wnid / f"ILSVRC2012_val_{number:08d}.JPEG", wnid)
    return root


def write_image(path: Path, wnid: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 12), shade(wnid)).save(path, format="PNG")


def fastai_tree(root: Path, wnids: list[str]) -> Path:
    """Write a tree as fast.ai's archives have it, training images among those of val."""
    class_tree(root, wnids, test=0)
    for wnid in wnids:
        write_image(root / "val" / wnid / f"{wnid}_90.JPEG", wnid)
        write_image(root / "val" / wnid / f"{wnid}_91.JPEG", wnid)
    return root


def flatten(root: Path) -> list[str]:
    """Make val/ flat as it is officially, numbered in some order; return the wnids by number."""
    files = sorted((root / "val").rglob("*.JPEG"), key=lambda path: (path.name[-6], path.name))
    wnids = [path.parent.name for path in files]
    for number, path in enumerate(files, start=1):
        path.rename(root / f"{number}.JPEG")
    for number in range(1, len(files) + 1):
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (root / f"{number}.JPEG").rename(root / "val" / name)
    for folder in (root / "val").iterdir():
        if folder.is_dir():
            folder.rmdir()
    return wnids


def settings(kind: str, root: Path | None, **source: object) -> SourceSettings:
    """Return the keys of ImageWoof's recipe that concern classes, images and source."""
    keys = {"kind": kind, "archive": "imagewoof2", "validation_fraction": 0, "complete": False}
    return wanted(
        classes=[f"dog {index}" for index in WOOF.values()],
        wnids=list(WOOF),
        image={"size": 8, "channels": 3},
        source=keys | {"folder": root and str(root)} | source,
    )


def wanted(**keys: Any) -> SourceSettings:
    """Return what arrays are made of, by its keys; classes have plain names unless wnids say."""
    return SourceSettings.model_validate({"wnids": []} | keys)


def record_arrays(folder: Path) -> None:
    """Note the digests of a data set's arrays where its readers look for them."""
    write_json(folder / "prepared.json", {"files": file_digests(folder.glob("*.npy"))})


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Read a split of arrays that no job has recorded."""
    record_arrays(folder)
    return load_split(folder, split)
