"""Files of others that claim to hold far more than their size, refused before they are unpacked.

Importing this module does not import PyTorch.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lgd_core.base.errors import UserError

# How many times its size a file may hold; so much more is allowed to files of any size.
TIMES, SLACK = 100, 2**24


def refuse_bomb(path: str | Path, held: int) -> None:
    """Raise UserError if a file claims to hold more bytes than one of its size can mean."""
    size = Path(path).stat().st_size
    if held > TIMES * size + SLACK:
        raise UserError(
            f"{path}: found {held} bytes packed into {size}, expected at most {TIMES} times as many"
        )


def load_pt(path: str | Path, mmap: bool = False) -> Any:
    """Return what a .pt file holds, on the CPU; nothing in it is executed.

    ``mmap`` leaves tensors on the disk until they are read. Raises UserError for a file of packed
    zeros or of tensors that repeat a few values without end, and torch's errors, which can be
    almost any, for what is damaged or needs code.
    """
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            refuse_bomb(path, sum(part.file_size for part in packed.infolist()))
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    refuse_bomb(path, _claimed(found))
    return found


def _claimed(value: object) -> int:
    """Return the bytes of all tensors in mappings and lists, which may contain themselves."""
    import torch

    total, waiting, seen = 0, [value], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, torch.Tensor):
            total += each.numel() * each.element_size()
        elif isinstance(each, Mapping):
            waiting += cast("Mapping[Any, Any]", each).values()
        elif isinstance(each, list | tuple):
            waiting += cast("list[Any]", each)
    return total
