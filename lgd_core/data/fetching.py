"""Raw files of data sets: the first source that works, checked by their digests."""

import gzip
import hashlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, scratch
from lgd_core.base.web import reachable
from lgd_core.config.sources import tree_parts
from lgd_core.data.archives import NOTE, fetch_archive
from lgd_core.data.debian import unpack
from lgd_core.data.font_files import fetch_fonts

FASHION_PACKAGE = "dataset-fashion-mnist"
FASHION_SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the unpacked files: the archives differ between sources, their contents do not.
FASHION_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

# Of a digest, so that the reasons of all sources fit into a line.
SHOWN = 12


def fetch(source: dict, folder: Path, log: Callable[[str], None]) -> dict[str, object]:
    """Bring the raw files of a data set into ``folder``; a tree on disk is read where it is.

    Return which source served them and perhaps a ``note`` for those who read the scores, or what
    the files are; sources.images_root says where they then lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind, local = source["kind"], source["folder"]
    if kind == "fashion-mnist":
        return {"served_by": _fetch_fashion(local, folder, log)}
    if kind == "fastai":
        return {"served_by": fetch_archive(source["archive"], local, folder, log), "note": NOTE}
    if kind == "fonts":
        return fetch_fonts(source, folder, log)
    if kind == "digits":
        return {"served_by": "scikit-learn"}
    tree_parts(kind, Path(local))
    return {"served_by": local}


def _fetch_fashion(local: str | None, folder: Path, log: Callable[[str], None]) -> str:
    """Try every source of Fashion-MNIST in turn; the first whose files check out serves."""
    sources: list[tuple[str, Callable[[Path], Path]]] = [
        (f"system folder {FASHION_SYSTEM_FOLDER}", lambda _: FASHION_SYSTEM_FOLDER),
        ("torchvision download", _download_fashion),
        (f"apt-get download {FASHION_PACKAGE}", _unpack_fashion_package),
    ]
    if local is not None:
        sources.insert(0, (f"configured folder {local}", lambda _: Path(local)))
    reasons = []
    for name, bring in sources:
        with scratch(folder) as temporary:
            try:
                _take_fashion(bring(Path(temporary)), folder / "FashionMNIST" / "raw")
            except (
                OSError,
                EOFError,
                subprocess.SubprocessError,
                RuntimeError,
                UserError,
            ) as error:
                reasons.append(f"{name}: {' '.join(str(error).split())}")
                log(f"no data from {reasons[-1]}")
                continue
        log(f"data served by {name}")
        return name
    raise UserError(f"fashionmnist: no source works ({'; '.join(reasons)})")


def _take_fashion(origin: Path, target: Path) -> None:
    """Unpack the four files from a folder, plain or gzipped, and check what they contain."""
    target.mkdir(parents=True, exist_ok=True)
    for name, expected in FASHION_FILES.items():
        packed = next((p for p in (origin / f"{name}.gz", origin / name) if p.exists()), None)
        if packed is None:
            raise UserError(f"{origin / name}.gz: not found")
        opener = gzip.open if packed.suffix == ".gz" else open
        with opener(packed, "rb") as stream:
            contents = stream.read()
        found = hashlib.sha256(contents).hexdigest()
        if found != expected:
            raise UserError(
                f"{packed}: found SHA-256 {found[:SHOWN]}..., expected {expected[:SHOWN]}..."
            )
        with atomic(target / name) as temporary:
            temporary.write_bytes(contents)


def _download_fashion(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    mirror = FashionMNIST.mirrors[0]
    if not reachable(mirror):
        raise UserError(f"{mirror} cannot be reached")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(15)
    try:
        FashionMNIST(str(folder), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return folder / "FashionMNIST" / "raw"


def _unpack_fashion_package(folder: Path) -> Path:
    unpack([FASHION_PACKAGE], folder)
    return folder / FASHION_PACKAGE / FASHION_SYSTEM_FOLDER.relative_to("/")
