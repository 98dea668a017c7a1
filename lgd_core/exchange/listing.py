"""Files of sets that do not lie in class folders."""

import re
from collections.abc import Sequence
from pathlib import Path

from lgd_core.base.image_files import entries

# Where the files of a set lie, from its folder.
FOLDERS = ("", "data")


def listed_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return a file with one of the suffixes, or those in a folder or its ``data``, by name."""
    if path.is_file():
        return [path] if path.suffix in suffixes else []
    folders = [path / name for name in FOLDERS if (path / name).is_dir()]
    found = [Path(entry.path) for folder in folders for entry in entries(folder)]
    return [file for file in found if file.suffix in suffixes and file.is_file()]


def natural(path: Path) -> list[int | str]:
    """Return a key that sorts numbers within names as numbers: ``2`` before ``10``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]
