"""Folders named in the configuration: expanding their paths, and checking write permission."""

import os
import re
from pathlib import Path

from lgd_core.base.errors import UserError

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})")


def expand_path(text: str, where: str) -> str:
    """Return a path with ``~``, ``$NAME`` and ``${NAME}`` replaced, as a shell would.

    A path that exists as it is written is not changed. ``where`` names the key. Raises UserError
    for a variable that is not set and for a user who has no home folder.
    """
    if os.path.exists(text):
        return text
    for name in (plain or braced for plain, braced in _VARIABLE.findall(text)):
        if name not in os.environ:
            raise UserError(f"{where}: found '{text}', expected the variable {name} to be set")
    expanded = os.path.expanduser(os.path.expandvars(text))
    if expanded.startswith("~"):
        raise UserError(f"{where}: found '{text}', expected ~ or a user who has a home folder")
    return expanded


def check_writable(folder: str | Path) -> None:
    """Raise UserError unless files can be written to a folder, or the folder can be made."""
    path = Path(folder)
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        found = "a folder without write permission" if path.is_dir() else "a file"
        raise UserError(f"{folder}: found {found}, expected a folder to write results to")
