"""Fashion-MNIST, from the first source that works, checked by digests."""

import gzip
import hashlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, scratch
from lgd_core.config.data_kinds import Folder, Wanted
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.kind import DataKind, Files

if TYPE_CHECKING:
    from lgd_core.data.parts import Part

PACKAGE = "dataset-fashion-mnist"
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the unpacked files: the archives differ between sources, their contents do not.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
# Bytes of the largest of them.
LARGEST = 47_040_016
# Digits of a digest in an error, so that the reasons of all sources fit into one line.
SHOWN = 12


class FashionMNIST(DataKind[SourceKeys]):
    """60,000 training and 10,000 test images of 28 x 28."""

    description = "ten kinds of clothing, downloaded or from a Debian package"
    keys = SourceKeys
    folder = Folder(
        meaning="its four files, looked at first", expected="the four files of Fashion-MNIST"
    )

    def fetch(self, source: SourceKeys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        """Try the sources in turn until the files of one pass the check."""
        local, reasons = source.folder, []
        ways: list[tuple[str, Callable[[Path], Path]]] = [
            (f"system folder {SYSTEM_FOLDER}", lambda _: SYSTEM_FOLDER),
            ("torchvision download", _download),
            (f"apt-get download {PACKAGE}", _unpack_package),
        ]
        if local is not None:
            ways.insert(0, (f"configured folder {local}", lambda _: Path(local)))
        for way, bring in ways:
            if reason := _refusal(bring, raw):
                reasons.append(f"{way}: {reason}")
                log(f"no data from {reasons[-1]}")
                continue
            log(f"data served by {way}")
            return {"served_by": way}
        raise UserError(f"fashionmnist: no source works ({'; '.join(reasons)})")

    def read(
        self, name: str, data: Wanted[SourceKeys], root: Path, files: Files
    ) -> "tuple[Part, Part]":
        import numpy as np
        from torchvision import datasets

        from lgd_core.data.parts import in_memory

        def part(train: bool) -> "Part":
            found = datasets.FashionMNIST(str(root), train=train)
            labels = found.targets.numpy().astype(np.int64)
            return in_memory(name, data, found.data.numpy(), labels)

        return part(True), part(False)


def _refusal(bring: Callable[[Path], Path], raw: Path) -> str | None:
    """Take the files of a source; return why that fails, or None if it succeeds."""
    with scratch(raw) as temporary:
        try:
            _take(bring(Path(temporary)), raw / "FashionMNIST" / "raw")
        except (OSError, EOFError, subprocess.SubprocessError, RuntimeError, UserError) as error:
            return " ".join(str(error).split()) or type(error).__name__
    return None


def _take(origin: Path, target: Path) -> None:
    """Unpack the four files from a folder, plain or gzipped, and check what they contain."""
    target.mkdir(parents=True, exist_ok=True)
    for name, expected in FILES.items():
        packed = next((p for p in (origin / f"{name}.gz", origin / name) if p.exists()), None)
        if packed is None:
            raise UserError(f"{origin / name}.gz: not found")
        opener = gzip.open if packed.suffix == ".gz" else open
        with opener(packed, "rb") as stream:
            contents = stream.read(LARGEST + 1)  # not more: a few bytes can unpack to gigabytes
        found = hashlib.sha256(contents).hexdigest()
        if found != expected:
            raise UserError(
                f"{packed}: found SHA-256 {found[:SHOWN]}..., expected {expected[:SHOWN]}..."
            )
        with atomic(target / name) as temporary:
            temporary.write_bytes(contents)


def _download(folder: Path) -> Path:
    from torchvision import datasets

    from lgd_core.base.web import reachable

    mirror = datasets.FashionMNIST.mirrors[0]
    if not reachable(mirror):
        raise UserError(f"{mirror} cannot be reached")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(15)
    try:
        datasets.FashionMNIST(str(folder), download=True)
    finally:
        socket.setdefaulttimeout(before)
    return folder / "FashionMNIST" / "raw"


def _unpack_package(folder: Path) -> Path:
    from lgd_core.data.debian import unpack

    unpack([PACKAGE], folder)
    return folder / PACKAGE / SYSTEM_FOLDER.relative_to("/")


KIND = FashionMNIST()
