"""Files of sets that do not lie in class folders, and what a set says of itself."""

import re
from collections.abc import Sequence
from pathlib import Path

from lgd_core.base.files import read_json
from lgd_core.base.image_files import entries
from lgd_core.config.external import PROVENANCE
from lgd_core.config.models.base import validated
from lgd_core.config.models.external import Said

# Where the files of a set lie, from its folder.
FOLDERS = ("", "data")


def listed_files(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return a file with one of the suffixes, or those in a folder or its ``data``, by name."""
    if path.is_file():
        return [path] if path.suffix in suffixes else []
    folders = [path / name for name in FOLDERS if (path / name).is_dir()]
    found = [Path(entry.path) for folder in folders for entry in entries(folder)]
    return [file for file in found if file.suffix in suffixes and file.is_file()]


def said_by(path: Path) -> Said:
    """Return what a set says of itself; raises UserError for what no set of ours would say."""
    file = path / PROVENANCE
    known = read_json(file) if file.is_file() else {}
    return validated(
        Said, {key: known[key] for key in Said.model_fields if key in known}, str(file)
    )


def natural(path: Path) -> list[int | str]:
    """Return a key that sorts numbers within names as numbers: ``2`` before ``10``."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]
