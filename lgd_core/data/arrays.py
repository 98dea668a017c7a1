"""Arrays of images, written to disk as the images are decoded; memory never holds all of them."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from lgd_core.base.errors import BrokenFileError
from lgd_core.base.files import atomic
from lgd_core.base.progress import progress
from lgd_core.data.decoding import fit

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
) -> list[int]:
    """Write images ``read(0)``, ``read(1)``, ... to every .npy file of ``files``, at its size.

    Each image is read once, in ``threads`` threads. If reading raises BrokenFileError,
    ``on_broken`` is called, which raises an error or leaves the image out. Any other error ends the
    writing. Returns the numbers of the images written.
    """

    def make(number: int) -> Fitted:
        try:
            image = read(number)
        except BrokenFileError as error:
            return error
        return [fit(image, size) for size in files.values()]

    written = []
    with ExitStack() as stack:
        shapes = {path: (channels, size, size) for path, size in files.items()}
        appends = [stack.enter_context(_growing(*item)) for item in shapes.items()]
        bar = stack.enter_context(progress(" ".join(path.stem for path in files), count))
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


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Write labels as an .npy file, atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, labels, allow_pickle=False)


def link(source: Path, target: Path) -> None:
    """Make a hard link to a file, or a copy if the file system has no links."""
    with atomic(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
