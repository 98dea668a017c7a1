"""Folders that a run needs, looked at before it starts."""

import os
from pathlib import Path

from lgd_core.errors import UserError


def check_writable(folder: str | Path) -> None:
    """Raise UserError unless files can be made in a folder, or the folder itself can be made."""
    path = Path(folder)
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        found = "a folder without write permission" if path.is_dir() else "a file"
        raise UserError(f"{folder}: found {found}, expected a folder to write results to")
