"""Types of plain values, as they are read of files, and of the schemas that these are held to."""

from collections.abc import Sequence
from typing import Any, TypeGuard

# Keys of a file, or of one laid over it, as they are read.
Keys = dict[str, Any]
# A JSON schema, or a part of one.
Schema = dict[str, Any]


def is_mapping(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether a value is a mapping of keys, which may be numbers."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is a list or a tuple."""
    return isinstance(value, list | tuple)
