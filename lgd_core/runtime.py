"""What every job needs around its mathematics: devices, stamps, atomic files, resumption."""

import contextlib
import glob
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from lgd_core.errors import UserError

LOG_SECONDS = 5.0
STAMPED_PACKAGES = ("torch", "torchvision", "diffusers", "timm", "numpy", "snakemake")


def resolve_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda[:n]``; ``auto`` prefers a GPU.

    Raises UserError if a GPU is asked for by name and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: found '{name}', but this machine has no usable CUDA device")
    return torch.device(name)


def cuda_cards() -> list[str]:
    """Return a name per visible GPU, in torch's order: its UUID, which no visibility setting moves.

    Where torch knows no UUIDs, the index.
    """
    cards = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [str(getattr(card, "uuid", index)) for index, card in enumerate(cards)]


def hardware(device: torch.device) -> str:
    """Describe the hardware in words: the accelerator, or the processor and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Return the versions that decide results: Python and the packages that compute."""
    return {"python": platform.python_version()} | {p: version(p) for p in STAMPED_PACKAGES}


def stamp(device: torch.device, **facts: object) -> dict[str, object]:
    """Return what an artifact carries as evidence: versions, hardware and the facts given."""
    return {"versions": versions(), "hardware": hardware(device), **facts}


def fingerprint(facts: object, files: Iterable[str | Path] = ()) -> str:
    """Return a hex digest of JSON-able facts and of the contents of files and folders."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(_files(files)):
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        else:
            yield path


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (file or folder) and rename it there on success.

    On any error the temporary is removed and ``path`` stays as it was; what a killed process left
    behind under such a name goes too. A full disk and a folder that cannot be written are reported
    as UserError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_behind in _abandoned(path):
            _remove(left_behind)
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        _remove(temporary)


def _abandoned(path: Path) -> list[Path]:
    """Return temporaries of ``path`` whose process has ended."""
    found = path.parent.glob(f".{glob.escape(path.name)}.*")
    own = [p for p in found if p.stem == f".{path.name}" and p.suffix[1:].isdigit()]
    return [p for p in own if not _alive(int(p.suffix[1:]))]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def share(path: str | Path) -> None:
    """Give a file, or each file in a folder, the read and write permissions of the folder it is in.

    safetensors makes files that only their owner can read, whatever the umask says.
    """
    for file in _files([path]):
        file.chmod(file.parent.stat().st_mode & 0o666)


def write_json(path: str | Path, value: object) -> None:
    """Write JSON atomically, indented, with a final newline."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


class Resume:
    """State of one job in flight, kept outside its declared outputs.

    The folder is named by the fingerprint of the job's inputs and parameters, so that an edited
    hyperparameter can never continue a stale run. ``Resume(None)`` keeps nothing.
    """

    def __init__(self, folder: str | Path | None, interval: float = 60.0) -> None:
        self.folder = None if folder is None else Path(folder)
        self.interval = interval
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether ``interval`` seconds have gone since the last save: time to save again."""
        return time.monotonic() - self._saved >= self.interval

    def save(self, name: str, state: dict) -> None:
        """Keep a nested dict of tensors and plain values under ``name``, atomically."""
        if self.folder is None:
            return
        with atomic(self.folder / f"{name}.pt") as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # which is what a full disk gets
                raise OSError(str(error).splitlines()[0]) from error
        self._saved = time.monotonic()

    def load(self, name: str) -> dict | None:
        """Return what was saved under ``name``, or None. Never unpickles objects."""
        path = None if self.folder is None else self.folder / f"{name}.pt"
        if path is None or not path.exists():
            return None
        return torch.load(path, map_location="cpu", weights_only=True)

    def clear(self) -> None:
        """Forget everything: the job has its result."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class _Output:
    """Where tqdm writes: a bar on the terminal if there is one, lines now and then to the log."""

    def __init__(self) -> None:
        self.terminal = sys.__stderr__ if sys.__stderr__.isatty() else None
        self.log = sys.stderr
        self.last = -LOG_SECONDS

    def write(self, text: str) -> None:
        if self.terminal is not None:
            self.terminal.write(text)
        line, now = text.strip("\r\n "), time.monotonic()
        if line and (now - self.last >= LOG_SECONDS or "100%" in line):
            self.log.write(line + "\n")
            self.last = now

    def flush(self) -> None:
        self.log.flush()
        if self.terminal is not None:
            self.terminal.flush()


def progress(description: str, total: int, initial: int = 0) -> tqdm:
    """Return a progress bar; the log gets a line every few seconds, with rate and time left."""
    return tqdm(
        desc=description,
        total=total,
        initial=initial,
        file=_Output(),
        mininterval=0.5,
        maxinterval=LOG_SECONDS,
        ncols=100,
        ascii=True,
    )


def scratch(beside: str | Path) -> tempfile.TemporaryDirectory:
    """Return a temporary folder on the same file system as ``beside``."""
    Path(beside).parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=Path(beside).parent, prefix=".")
