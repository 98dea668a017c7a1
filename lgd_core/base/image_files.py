"""Files in folders of images: which are images, which are fonts, and what else is there.

Does not import PyTorch, since every run and every job imports this module.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.system_errors import patient

# Common image formats that Pillow decodes without plugins; a test compares them with Pillow's.
SUFFIXES = (
    *(".avif", ".avifs", ".bmp", ".dib", ".dds", ".gif", ".ico", ".icns", ".pcx", ".png", ".apng"),
    *(".jfif", ".jpe", ".jpg", ".jpeg", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".psd", ".qoi", ".sgi", ".rgb", ".rgba", ".bw"),
    *(".ras", ".tga", ".tif", ".tiff", ".webp", ".xbm", ".xpm"),
)
IMAGE_SUFFIXES = frozenset(SUFFIXES)
FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
# Files that systems and programs leave beside images, and that nobody expects to be read.
LITTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
LITTER_SUFFIXES = (".txt", ".csv", ".xml", ".json", ".md", ".yaml", ".yml", ".html", ".log")
LITTER_KIND = "litter"
NAMED = 3


def is_image(path: str | Path) -> bool:
    """Whether a file is read as an image; its name decides, its contents are not looked at."""
    # Not by pathlib, which takes ten times as long: ImageNet has 1.3 million files.
    suffix = os.path.splitext(path)[1].lower()
    return suffix in IMAGE_SUFFIXES and not is_litter(path)


def is_font(path: str | Path) -> bool:
    """Whether a file is read as a font; its name decides."""
    return not is_litter(path) and Path(path).suffix.lower() in FONT_SUFFIXES


def is_litter(path: str | Path) -> bool:
    """Whether a file or folder is hidden, or left by a system or program beside images."""
    name = os.path.basename(path).lower()
    return name.startswith(".") or name in LITTER or name.endswith(LITTER_SUFFIXES)


def unreadable(path: str | Path, error: OSError) -> UserError:
    """Return the error for a file or folder that the operating system cannot read."""
    return UserError(
        f"{path}: cannot be read ({error.strerror or error}), expected what the system can read"
    )


@patient
def read_bytes(path: str | Path) -> bytes:
    """Return a file's contents; raises UserError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


@patient
def file_status(path: str | Path) -> os.stat_result:
    """Return the status of a file or folder, following links; raises UserError if it has none."""
    try:
        return os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error


@patient
def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, by name; raises UserError if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error


def walk(folder: str | Path, seen: dict[tuple[int, int], str] | None = None) -> list[str]:
    """Return all files under a folder, sorted by the folder they are in, then by name.

    Links are followed. Litter is listed too, but a folder of litter is not entered. Raises
    UserError if links lead to a folder twice, as in a circle. With the same ``seen`` in several
    calls, no folder may be in two of their trees.
    """
    seen = {} if seen is None else seen
    above = {_identity(parent): str(parent) for parent in Path(folder).absolute().parents}
    found: list[tuple[str, str]] = []
    waiting = [str(folder)]
    while waiting:
        current = waiting.pop()
        _refuse_twice(current, seen, above)
        for entry in entries(current):
            if _is_folder(entry) and not is_litter(entry.name):
                waiting.append(entry.path)
            else:
                found.append((current, entry.name))
    return [os.path.join(*pair) for pair in sorted(found)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise unreadable(entry.path, error) from error


def _refuse_twice(
    folder: str, seen: dict[tuple[int, int], str], above: dict[tuple[int, int], str]
) -> None:
    identity = _identity(folder)
    if other := seen.get(identity) or above.get(identity):
        raise UserError(
            f"{folder}: found the same folder as {other}, by way of a link, expected links that "
            "lead to every folder once"
        )
    seen[identity] = folder


def _identity(folder: str | Path) -> tuple[int, int]:
    found = file_status(folder)
    return found.st_dev, found.st_ino


def list_fonts(root: Path) -> list[Path]:
    """Return the font files under a folder, sorted by their path in it."""
    return sorted(Path(path) for path in walk(root) if is_font(path))


def summarise(left_out: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the number and first names of files left out, grouped by suffix, litter last."""
    groups: dict[str, list[str]] = {}
    for path in sorted(left_out, key=lambda path: (is_litter(path), path)):
        kind = LITTER_KIND if is_litter(path) else Path(path).suffix.lower() or "no suffix"
        groups.setdefault(kind, []).append(path)
    return {kind: {"files": len(names), "first": names[:NAMED]} for kind, names in groups.items()}


def describe(summary: dict[str, dict[str, Any]]) -> str:
    """Return the summary that ``summarise`` makes as one line."""
    return "; ".join(
        f"{group['files']} of {kind} ({', '.join(group['first'])}"
        f"{', ...' if group['files'] > len(group['first']) else ''})"
        for kind, group in summary.items()
    )
