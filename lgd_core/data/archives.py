"""fast.ai's archives of ImageNette and ImageWoof: downloaded, checked, unpacked."""

import http.client
import os
import tarfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from lgd_core.base.bombs import refuse_bomb
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, scratch
from lgd_core.base.image_files import file_status
from lgd_core.base.listings import sha256
from lgd_core.base.progress import progress
from lgd_core.base.web import reachable

ADDRESS = "https://s3.amazonaws.com/fast-ai-imageclas/{}.tgz"
# To wait for the next part of an archive.
SECONDS = 15.0
# Bytes, from fastai's fastai/data/checks.txt, and SHA-256, from TensorFlow Datasets'
# imagenette/checksums.tsv (imagenette2) and FastAI.jl's src/datasets/fastaidatasets.jl (both).
ARCHIVES = {
    "imagenette2": (
        1557161267,
        "6cbfac238434d89fe99e651496f0812ebc7a10fa62bd42d6874042bf01de4efd",
    ),
    "imagewoof2": (
        1343715595,
        "de3f58c4ea3e042cf3f8365fbc699288cfe1d8c151059040d181c221bd5a55b8",
    ),
}


def fetch_archive(name: str, local: Path | None, folder: Path, log: Callable[[str], None]) -> str:
    """Unpack an archive, local or downloaded, as ``folder``/NAME; return where it came from.

    Raises UserError for a wrong digest.
    """
    if local is not None:
        check_digest(name, local)
        unpack(local, folder / name)
        return f"archive {local}"
    with scratch(folder) as temporary:
        archive = download(name, Path(temporary) / f"{name}.tgz", log)
        unpack(archive, folder / name)
        return f"download {ADDRESS.format(name)}"


def download(name: str, target: Path, log: Callable[[str], None]) -> Path:
    """Download an archive and check it; raises UserError within 20 s if the server is silent."""
    address = ADDRESS.format(name)
    if not reachable(address):
        raise UserError(
            f"{address}: cannot be reached, expected {name}.tgz; source.folder takes a copy of it"
        )
    log(f"downloading {address}")
    try:
        with (
            urllib.request.urlopen(address, timeout=SECONDS) as answer,
            open(target, "wb") as stream,
            progress(name, ARCHIVES[name][0]) as bar,
        ):
            while block := answer.read(2**20):
                stream.write(block)
                bar.update(len(block))
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{address}: download failed ({error})") from error
    check_digest(name, target)
    return target


def check_digest(name: str, archive: Path) -> None:
    """Raise UserError unless an archive has the published size and SHA-256."""
    size, expected = ARCHIVES[name]
    if (length := file_status(archive).st_size) != size:
        raise UserError(f"{archive}: found {length} bytes, expected {size}")
    if (found := sha256(archive)) != expected:
        raise UserError(f"{archive}: found SHA-256 {found}, expected {expected}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive as ``folder``, all or nothing.

    Raises UserError for an entry that leads out of the folder or is neither file nor folder, and
    for entries that are far larger than the archive.
    """
    try:
        with tarfile.open(archive) as tar, atomic(folder) as temporary:
            temporary.mkdir()
            # A second look, by Python's own filter; 3.11 has it from 3.11.4 on, Debian 12 has not.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(temporary, members=_checked(tar, archive))  # noqa: S202 - by _checked
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error


def _checked(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of an archive; raise UserError for one that must not be unpacked."""
    held = 0
    for entry in tar:
        held += entry.size
        refuse_bomb(archive, held)
        path = PurePosixPath(entry.name)
        inside = not path.is_absolute() and ".." not in path.parts
        if not (inside and (entry.isreg() or entry.isdir())):
            raise UserError(
                f"{archive}: found entry {entry.name!r}, expected plain files and folders that "
                "stay inside; nothing was unpacked"
            )
        # As by Python's filter: we can read and write the files, others cannot change them.
        entry.mode = entry.mode & 0o755 | (0o700 if entry.isdir() else 0o600)
        entry.uid, entry.gid, entry.uname, entry.gname = os.getuid(), os.getgid(), "", ""
        yield entry
