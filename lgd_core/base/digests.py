"""Digests that show whether a file was changed after it was written."""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lgd_core.base.errors import UserError
from lgd_core.base.system_errors import patient

if TYPE_CHECKING:
    from torch import Tensor

KEY = "digest"


@dataclass(frozen=True)
class Joined:
    """Tensors of one type whose digest is that of one tensor: these, joined along the first axis.

    There must be at least one. They are not copied into one.
    """

    tensors: "Sequence[Tensor]"


def digest(value: object) -> str:
    """Return the SHA-256 of nested mappings, sequences, tensors and plain values, in their order.

    Tensors are digested by type, shape and bytes, on whatever device they are.
    """
    found = hashlib.sha256()
    for part in _parts(value):
        found.update(part)
    return found.hexdigest()


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    # Without PyTorch imported there are no tensors; importing it here would take seconds.
    torch = sys.modules.get("torch")
    if torch and isinstance(value, torch.Tensor):
        yield from _tensor_parts([value], value.shape)
    elif isinstance(value, Joined):
        shape = (sum(map(len, value.tensors)), *value.tensors[0].shape[1:])
        yield from _tensor_parts(value.tensors, shape)
    elif isinstance(value, Mapping):
        yield from _nested("mapping", list(cast("Mapping[Any, Any]", value).items()))
    elif isinstance(value, list | tuple):
        yield from _nested("sequence", cast("Sequence[Any]", value))
    else:
        yield f"{value!r}\0".encode()


def _nested(kind: str, values: Sequence[Any]) -> Iterator[bytes | memoryview]:
    yield f"{kind} {len(values)}\0".encode()
    for value in values:
        yield from _parts(value)


def _tensor_parts(
    tensors: "Sequence[Tensor]", shape: Sequence[int]
) -> Iterator[bytes | memoryview]:
    import torch  # already imported, since there is a tensor

    yield f"tensor {tensors[0].dtype} {tuple(shape)}\0".encode()
    for tensor in tensors:
        yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def seal(facts: dict[str, Any], tensors: Mapping[str, "Tensor"] | None = None) -> dict[str, Any]:
    """Return JSON-able facts plus, under ``KEY``, the digest of them and of the tensors."""
    # Digest the facts as they will be read: JSON turns keys into text and tuples into lists.
    return facts | {KEY: _sealed(json.loads(json.dumps(facts)), tensors or {})}


def unseal(
    path: str | Path, facts: object, tensors: Mapping[str, "Tensor"] | None = None
) -> dict[str, Any]:
    """Return what was sealed; raises UserError naming the file if it does not match its digest."""
    if not isinstance(facts, dict) or KEY not in facts:
        raise UserError(f"{path}: found no digest of its contents, {_remedy()}")
    sealed = cast("dict[str, Any]", facts)
    rest = {name: value for name, value in sealed.items() if name != KEY}
    if sealed[KEY] != _sealed(rest, tensors or {}):
        raise UserError(f"{path}: found contents that do not match their digest, {_remedy()}")
    return rest


def _sealed(facts: dict[str, Any], tensors: Mapping[str, "Tensor"]) -> str:
    return digest([json.dumps(facts, sort_keys=True), sorted(tensors.items())])


def _remedy() -> str:
    return "expected them as they were written; delete it and run again"


@patient
def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, without reading all of it into memory."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digests(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of files by name: the ``files`` of the JSON artifact beside them."""
    return {Path(path).name: file_digest(path) for path in paths}


def check_file(path: str | Path, record: dict[str, Any]) -> None:
    """Raise UserError unless a file has the digest listed in ``files`` of ``record``."""
    expected = record.get("files", {}).get(Path(path).name)
    try:
        found = file_digest(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run again") from error
    if found != expected:
        raise UserError(f"{path}: found contents that do not match their digest, {_remedy()}")


def fingerprint(facts: object, files: Iterable[str | Path] = ()) -> str:
    """Return a hex digest of JSON-able facts and of the contents of files and folders."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for path in sorted(files_in(files)):
        found.update(bytes.fromhex(file_digest(path)))
    return found.hexdigest()[:16]


def files_in(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the files among the paths, and all files in the folders, except hidden ones."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from (p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        else:
            yield path
