"""Font files of a data set, from a folder or from Debian packages, with their digests."""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.base.files import scratch
from lgd_core.base.image_files import FONT_SUFFIXES, is_font, list_fonts
from lgd_core.base.listings import sha256
from lgd_core.base.progress import progress
from lgd_core.data.debian import installed, unpack


def fetch_fonts(
    packages: Sequence[str], local: str | None, folder: Path, log: Callable[[str], None]
) -> dict[str, Any]:
    """Collect the font files of packages; a user's own folder is read where it lies.

    The files of a package are copied to ``folder``/PACKAGE, from its installed copy or else from a
    download. Other installed fonts are ignored. Returns the source, the versions of the packages
    and the SHA-256 of every file. Raises UserError if a package cannot be obtained or has no font
    file.
    """
    if local is not None:
        root = Path(local)
        facts = {"served_by": f"configured folder {root}"}
        return facts | {"packages": {}, "fonts": _digests(root)}
    copies = {name: _copy_installed(name, folder) for name in packages}
    found = {name: version for name, version in copies.items() if version}
    downloaded = _download([name for name in copies if name not in found], folder)
    for how, versions in (("installed", found), ("downloaded", downloaded)):
        for name, version in versions.items():
            log(f"{how}: {name} {version}")
    return {
        "served_by": f"installed packages: {len(found)}, apt-get download: {len(downloaded)}",
        "packages": dict(sorted((found | downloaded).items())),
        "fonts": _digests(folder),
    }


def _copy_installed(name: str, folder: Path) -> str | None:
    """Copy the fonts of an installed package; return its version, None if no font is installed."""
    version, files = installed(name) or (None, [])
    present = [path for path in files if path.is_file()]
    return version if _keep_fonts(present, Path("/"), folder / name) else None


def _download(names: list[str], folder: Path) -> dict[str, str]:
    """Download the fonts of packages that are not installed; return the packages' versions."""
    if not names:
        return {}
    with scratch(folder) as temporary:
        try:
            versions = unpack(names, Path(temporary))
        except (OSError, subprocess.SubprocessError, UserError) as error:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(
                f"fonts: no source works for {names[0]}{others} (installed: no; apt-get download: "
                f"{' '.join(str(error).split())}); source.folder takes a folder of fonts"
            ) from error
        for name, version in versions.items():
            root = Path(temporary) / name
            if not _keep_fonts(list_fonts(root), root, folder / name):
                raise UserError(
                    f"package {name} {version}: found no font file, "
                    f"expected {', '.join(FONT_SUFFIXES)}"
                )
    return versions


def _keep_fonts(files: Iterable[Path], root: Path, target: Path) -> list[Path]:
    """Copy font files to their place under a folder; return them."""
    # A link is a second name of another file in the package.
    fonts = [path for path in files if is_font(path) and not path.is_symlink()]
    for path in fonts:
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return fonts


def _digests(root: Path) -> dict[str, str]:
    """Return path in the folder -> SHA-256 of every font; raises UserError if there is none."""
    fonts = list_fonts(root)
    if not fonts:
        raise UserError(f"{root}: found no font file, expected {', '.join(FONT_SUFFIXES)}")
    digests = {}
    with progress("digests of fonts", len(fonts)) as bar:
        for path in fonts:
            digests[str(path.relative_to(root))] = sha256(path)
            bar.update()
    return digests
