"""Arrays of images, written to disk as the images are decoded; memory never holds all of them."""

import io
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lgd_core.base.decoding import fit
from lgd_core.base.digests import check_file
from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.files import atomic, naming
from lgd_core.base.progress import progress
from lgd_core.base.system_errors import patient

# Images in progress per thread: enough to keep all threads busy, few enough for little memory.
AHEAD = 16

# The result for one image: its pixels at every size, or the error if it is broken.
Fitted = list[np.ndarray] | BrokenFileError


def write_images(
    files: dict[Path, int],
    read: Callable[[int], Image.Image],
    count: int,
    channels: int,
    threads: int,
    on_broken: Callable[[BrokenFileError], None],
    name: str,
    short: int | None = None,
) -> list[int]:
    """Write images ``read(0)``, ``read(1)``, ... to every .npy file of ``files``, at its size.

    Each image is read once, in ``threads`` threads, even if there is no file to write. If reading
    raises BrokenFileError, ``on_broken`` is called, which raises an error or leaves the image out.
    Any other error ends the writing. ``name`` is for the progress bar, ``short`` as for
    decoding.fit. Returns the numbers of the images read.
    """

    def make(number: int) -> Fitted:
        try:
            image = read(number)
        except BrokenFileError as error:
            return error
        return [fit(image, size, short) for size in files.values()]

    written = []
    with ExitStack() as stack:
        shapes = {path: (channels, size, size) for path, size in files.items()}
        appends = [stack.enter_context(_growing(*item)) for item in shapes.items()]
        bar = stack.enter_context(progress(name, count))
        for number, made in enumerate(_ahead(make, count, threads)):
            bar.update()
            if isinstance(made, BrokenFileError):
                on_broken(made)
                continue
            for append, array in zip(appends, made, strict=True):
                append(array)
            written.append(number)
    return written


def _ahead(make: Callable[[int], Fitted], count: int, threads: int) -> Iterator[Fitted]:
    """Yield make(0), make(1), ..., computed in threads, at most a window ahead of the reader."""
    window = AHEAD * threads
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, window):
            yield from pool.map(make, range(start, min(start + window, count)))


@contextmanager
def _growing(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a uint8 row of ``shape`` to an .npy file.

    The file appears when it is complete. Its header is written again when the number of rows is
    known; numpy leaves room for that. There is no memory map, since a full disk would then kill
    the process.
    """
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        rows = 0

        def header() -> None:
            facts = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
            stream.seek(0)
            np.lib.format.write_array_header_1_0(stream, facts)

        def append(row: np.ndarray) -> None:
            nonlocal rows
            stream.write(row.tobytes())
            rows += 1

        header()
        yield append
        header()


@patient
def write_rows(path: Path, rows: np.ndarray) -> None:
    """Write labels, or names of files, as an .npy file, atomically."""
    # By way of memory: of a full disk numpy itself only says that it has written too little.
    contents = io.BytesIO()
    np.save(contents, rows, allow_pickle=False)
    with atomic(path) as temporary:
        temporary.write_bytes(contents.getbuffer())


def link(source: Path, target: Path) -> None:
    """Make a hard link to a file, or a copy if the file system has no links."""
    with atomic(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


@contextmanager
def appending(
    path: Path, shape: tuple[int, ...], done: int
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends float32 rows to an .npy file of ``shape``.

    The first ``done`` rows are there from an earlier, interrupted call. Raises UserError as
    files.naming does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path, path), open(path, "r+b" if done else "wb") as stream:
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, facts)
        stream.seek(done * 4 * math.prod(shape[1:]), os.SEEK_CUR)
        stream.truncate()

        def append(rows: np.ndarray) -> None:
            stream.write(rows.astype("<f4").tobytes())
            stream.flush()
            os.fsync(stream.fileno())  # before a checkpoint says that they are there

        yield append


@patient
def mapped(path: Path, record: dict[str, Any], dtype: type, axes: int) -> np.ndarray:
    """Memory-map an .npy file; ``record`` has its digest, see digests.check_file.

    Raises UserError naming a file that was changed, or has another type or number of axes.
    """
    check_file(path, record)
    try:
        # Mode c is copy-on-write: the tensor is writable, but the file is never changed.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except ValueError as error:
        raise UserError(f"{path}: found no array ({error}); delete it and run again") from None
    if not np.issubdtype(array.dtype, dtype) or array.ndim != axes:
        expected = f"{np.dtype(dtype)} of {axes}"
        raise UserError(f"{path}: found {array.dtype} of {array.ndim} axes, expected {expected}")
    return array
