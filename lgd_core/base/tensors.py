"""Tensors on disk: safetensors with JSON-able metadata and a digest of both."""

import errno
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import (
    save_file,  # pyright: ignore[reportUnknownVariableType]  # its PathLike has no type
)
from torch import Tensor

from lgd_core.base.digests import seal, unseal
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, share
from lgd_core.base.system_errors import patient


class _Opened(Protocol):
    """An open file of tensors: the part of safetensors' untyped class that is used here."""

    def keys(self) -> list[str]: ...

    def get_tensor(self, name: str, /) -> Tensor: ...

    def metadata(self) -> dict[str, str] | None: ...


def _open(path: str | Path) -> AbstractContextManager[_Opened]:
    return cast("AbstractContextManager[_Opened]", safe_open(path, framework="pt"))


@patient
def save_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON-able metadata as safetensors, with their digest, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sealed = json.dumps(seal(metadata, tensors), sort_keys=True)
    with atomic(path) as temporary:
        # All metadata under one key, sorted: the file's bytes depend on the order of keys.
        save_file(tensors, temporary, {"lgd": sealed})
        share(temporary)


@patient
def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and metadata.

    Raises UserError naming the file if it is missing, damaged, or cannot be read.
    """
    try:
        with _open(path) as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            sealed = json.loads((stream.metadata() or {}).get("lgd", "{}"))
    except FileNotFoundError:
        refusal = _refusal(path)
        missing = isinstance(refusal, FileNotFoundError)
        reason = "not found" if missing else f"cannot be read ({refusal.strerror})"
        raise UserError(f"{path}: {reason}, expected a safetensors file") from refusal
    except (SafetensorError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: found a broken safetensors file ({reason})") from None
    return tensors, unseal(path, sealed, tensors)


def _refusal(path: str | Path) -> OSError:
    """Return why a file cannot be opened: safetensors says of all reasons that it is not there.

    A file that can be opened now was not there for a moment, as with a stale handle.
    """
    try:
        open(path, "rb").close()
    except OSError as error:
        return error
    return OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def expect(
    path: str | Path,
    tensors: dict[str, Tensor],
    name: str,
    dtype: torch.dtype,
    *shape: int | None,
    finite: bool = True,
) -> None:
    """Raise UserError naming the file unless a tensor exists, has this type and shape, is finite.

    None in ``shape`` stands for any length.
    """
    found = tensors.get(name)
    lengths = ["any" if length is None else str(length) for length in shape]
    expected = f"expected {str(dtype).removeprefix('torch.')} ({', '.join(lengths)})"
    if found is None:
        raise UserError(f"{path}: {name}: missing, {expected}")
    fits = len(shape) == found.dim() and all(
        length in (None, own) for length, own in zip(shape, found.shape, strict=True)
    )
    if found.dtype != dtype or not fits:
        kind = f"{str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}"
        raise UserError(f"{path}: {name}: found {kind}, {expected}")
    if finite and found.is_floating_point() and not _finite(found):
        raise UserError(f"{path}: {name}: found values that are not finite, expected none")


def _finite(tensor: Tensor) -> bool:
    # In parts: isfinite makes a copy of what it is given.
    return all(bool(part.isfinite().all()) for part in torch.split(tensor.reshape(-1), 1 << 18))
