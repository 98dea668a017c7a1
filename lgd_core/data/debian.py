"""Files of Debian packages, installed or downloaded; nothing is installed."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lgd_core.base.errors import UserError

# apt tries an address that does not answer only once.
QUICK = ("-qq", "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=15")
DOWNLOAD_SECONDS = 3600


def installed(name: str) -> tuple[str, list[Path]] | None:
    """Return the version and the files of an installed package; None if it is not installed."""
    try:
        asked = _run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name)
        listed = _run("dpkg-query", "--listfiles", name)
    except FileNotFoundError:  # not a Debian system
        return None
    status, _, version = asked.stdout.partition(" ")
    if status != "installed":
        return None
    return version, [Path(line) for line in listed.stdout.splitlines()]


def unpack(names: Sequence[str], folder: Path) -> dict[str, str]:
    """Download packages and unpack each as ``folder``/NAME; return the version of each.

    Uses apt's present lists of packages or, if the download fails with them, fresh lists. Needs no
    privileges. Raises UserError with apt's message if a package cannot be downloaded, and OSError
    if there is no apt.
    """
    own = folder.resolve() / ".apt"
    (own / "lists" / "partial").mkdir(parents=True)
    (own / "cache" / "archives" / "partial").mkdir(parents=True)
    places = (f"Dir::State::Lists={own}/lists", f"Dir::Cache={own}/cache")
    private = [word for place in places for word in ("-o", place)]
    done = _run("apt-get", *QUICK, "download", *names, folder=own)
    if done.returncode:
        _run("apt-get", *QUICK, *private, "update", folder=own)
        done = _run("apt-get", *QUICK, *private, "download", *names, folder=own)
    if done.returncode:
        raise UserError("; ".join(_complaints(done.stderr)))
    archives = {path.name.split("_")[0]: path for path in own.glob("*.deb")}
    return {name: _unpack(archives[name], folder / name) for name in names}


def _unpack(archive: Path, folder: Path) -> str:
    """Unpack one archive; return its version."""
    subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
    return _run("dpkg-deb", "--field", str(archive), "Version").stdout.strip()


def _complaints(output: str) -> list[str]:
    """Return apt's error lines, or a line of ours if there are none."""
    errors = [line.removeprefix("E: ") for line in output.splitlines() if line.startswith("E: ")]
    return errors or ["apt-get has no such package to offer"]


def _run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
    )
