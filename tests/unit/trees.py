"""Trees of small images as data sets have them, and their arrays as jobs read them."""

from pathlib import Path

from PIL import Image
from torch import Tensor

from lgd_core.data import load_split
from lgd_core.digests import file_digests
from lgd_core.runtime import write_json

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
    for part, count in (("train", train), ("val", test)):
        for wnid in wnids:
            (root / part / wnid).mkdir(parents=True)
            for i in range(count):
                path = root / part / wnid / f"{wnid}_{i}.JPEG"
                Image.new("RGB", (20, 12), shade(wnid)).save(path, format="PNG")
    return root


def flatten(root: Path) -> list[str]:
    """Make val/ flat as it is officially, numbered in some order; return the wnids by number."""
    files = sorted((root / "val").rglob("*.JPEG"), key=lambda path: path.name[::-1])
    wnids = [path.parent.name for path in files]
    for number, path in enumerate(files, start=1):
        path.rename(root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    for folder in (root / "val").iterdir():
        if folder.is_dir():
            folder.rmdir()
    return wnids


def recipe(kind: str, root: Path | None, **source: object) -> dict:
    """Return the keys of ImageWoof's recipe that concern classes, images and source."""
    keys = {"kind": kind, "archive": "imagewoof2", "validation_fraction": 0, "skip_broken": False}
    return {
        "classes": [f"dog {index}" for index in WOOF.values()],
        "wnids": list(WOOF),
        "image": {"size": 8, "channels": 3},
        "source": keys | {"folder": root and str(root)} | source,
    }


def record_arrays(folder: Path) -> None:
    """Note the digests of a data set's arrays where its readers look for them."""
    write_json(folder / "prepared.json", {"files": file_digests(folder.glob("*.npy"))})


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Read a split of arrays that no job has recorded."""
    record_arrays(folder)
    return load_split(folder, split)
