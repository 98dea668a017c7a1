"""What every job needs around its mathematics: devices, stamps, atomic files, resumption."""

import contextlib
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from lgd_core.base.digests import digest, file_digest, seal, unseal
from lgd_core.base.errors import UserError

LOG_SECONDS = 5.0
COMPUTING_PACKAGES = ("torch", "torchvision", "diffusers", "timm", "numpy")
STAMPED_PACKAGES = (*COMPUTING_PACKAGES, "snakemake")
# The first generation of GPUs with TensorFloat-32.
AMPERE = (8, 0)


def resolve_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda[:n]``; ``auto`` prefers a GPU.

    Raises UserError if a GPU is asked for by name and there is none.
    """
    if name == "auto":
        name = device_kind(name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: found '{name}', but this machine has no usable CUDA device")
    return torch.device(name)


def device_kind(name: str) -> str:
    """Return ``cpu`` or ``cuda``, the type of what resolve_device returns; never an error."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name).type


def network_precision(kind: str) -> str:
    """Return ``tf32`` where a kind of device multiplies in TensorFloat-32, otherwise ``fp32``."""
    if kind == "cuda" and torch.cuda.get_device_capability() >= AMPERE:
        return "tf32"
    return "fp32"


def computes_in_half(precision: str, kind: str) -> bool:
    """Whether a prior computes in bfloat16 on a kind of device: ``auto`` does so on a GPU."""
    return precision == "bf16" or (precision == "auto" and kind == "cuda")


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
    """Return what an artifact carries as evidence: versions, device, precision, the facts given.

    ``precision`` is that of networks; jobs with a prior add its own.
    """
    return {
        "versions": versions(),
        "hardware": hardware(device),
        "device": device.type,
        "precision": {"networks": network_precision(device.type)},
        **facts,
    }


def fingerprint(facts: object, files: Iterable[str | Path] = ()) -> str:
    """Return a hex digest of JSON-able facts and of the contents of files and folders."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(_files(files)):
        found.update(bytes.fromhex(file_digest(path)))
    return found.hexdigest()[:16]


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
    behind under such a name goes too. What is renamed has reached the disk before. A full disk, a
    folder that cannot be written and another file that the body cannot use are UserErrors, each
    naming its own file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_behind in _abandoned(path):
            _remove(left_behind)
        yield temporary
        _sync(temporary)
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync_names(path.parent)
    except OSError as error:
        # Errors of the system have a number; those of libraries and of the network are not ours.
        if error.errno is None or isinstance(error, ConnectionError | TimeoutError):
            raise
        raise _failure(path, temporary, error) from error
    finally:
        _remove(temporary)


def _failure(path: Path, temporary: Path, error: OSError) -> UserError:
    """Say which file an error is of: the one that is written, or another that the body used."""
    file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    own = file.absolute()
    if own.is_relative_to(temporary.absolute()) or path.absolute().is_relative_to(own):
        return UserError(f"{path}: cannot be written ({error.strerror})")
    return UserError(f"{file}: {error.strerror}")


def system_error(error: Exception) -> OSError:
    """Return the error of the system that safetensors has put into words: "(os error 28)"."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return OSError(str(error))
    return OSError(int(number[1]), os.strerror(int(number[1])))


def _sync(path: Path) -> None:
    """Bring a file, or a folder with all in it, to the disk, so that a crash cannot cut it."""
    if path.is_dir():
        os.sync()  # once for all: a set has thousands of files, each of which would wait by itself
    else:
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())


def _sync_names(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    with contextlib.suppress(OSError):  # some network file systems cannot, and need not
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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


def write_json(path: str | Path, value: dict) -> None:
    """Write a JSON artifact atomically: indented, with its digest and a final newline."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(seal(value), indent=2) + "\n")


def read_json(path: str | Path) -> dict:
    """Read what write_json wrote; raises UserError naming the file unless it is whole."""
    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run again") from error
    except ValueError as error:
        raise UserError(f"{path}: found broken JSON ({error}); delete it and run again") from error
    return unseal(path, value)


class Resume:
    """State of one job in flight, kept outside its declared outputs.

    The folder is named by what decides the job's result, so that an edited hyperparameter can never
    continue a stale run. ``Resume(None)`` keeps nothing.
    """

    def __init__(self, folder: str | Path | None, interval: float = 60.0) -> None:
        self.folder = None if folder is None else Path(folder)
        self.interval = interval
        self._saved = time.monotonic()

    def scope(self, name: str) -> "Resume":
        """Return state of a part of the job, apart from that of its other parts."""
        return Resume(None if self.folder is None else self.folder / name, self.interval)

    def due(self) -> bool:
        """Whether ``interval`` seconds have gone since the last save: time to save again."""
        return time.monotonic() - self._saved >= self.interval

    def save(self, name: str, state: dict) -> None:
        """Keep a nested dict of tensors and plain values under ``name``, atomically."""
        if self.folder is None:
            return
        with atomic(self.folder / f"{name}.pt") as temporary, open(temporary, "wb") as stream:
            try:
                torch.save({"state": state, "digest": digest(state)}, stream)
            except RuntimeError as error:  # which is what torch makes of a full disk
                cause = error.__context__
                raise cause if isinstance(cause, OSError) else error from None
        self._saved = time.monotonic()

    def load(self, name: str, *keys: str) -> dict | None:
        """Return what was saved under ``name`` with at least these keys, or None.

        A file that is damaged, of something else or without the keys is dropped, and the log says
        so: then the work starts anew. Never unpickles objects.
        """
        path = None if self.folder is None else self.folder / f"{name}.pt"
        if path is None or not path.exists():
            return None
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            state = kept["state"]
            if kept["digest"] == digest(state) and set(keys) <= set(state):
                return state
            reason = "contents do not match"
        except Exception as error:  # damaged bytes make torch raise almost anything
            reason = type(error).__name__
        print(f"{path}: found a broken checkpoint ({reason}), dropped", file=sys.stderr)
        path.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        """Forget everything: the work has its result."""
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
