"""Values of ``--config``, most of which Snakemake hands over as text, in the types of a schema."""

from collections.abc import Callable
from typing import Any

from lgd_core.base.errors import UserError
from lgd_core.config.plain import Schema, is_list, is_mapping
from lgd_core.config.yaml_loader import DEEPEST

# What text is read by, in this order, where the schema allows the type.
_READERS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("null", {"": None, "null": None, "~": None}.__getitem__),
    ("boolean", {"true": True, "false": False}.__getitem__),
    ("integer", int),
    ("number", int),
    ("number", float),
)
_ANY: Schema = {"type": ["null", "boolean", "number", "string"]}


def typed(value: object, schema: Schema, depth: int = 0) -> Any:
    """Return a value with every text in it read as the type that the schema has at its place.

    Text stays where only text is allowed, even if it looks like a number; so does what cannot be
    read, for the check to refuse. Where the schema says nothing, text is read as YAML would.
    Raises UserError for more levels of nesting than a file may have.
    """
    if depth > DEEPEST:
        raise UserError(f"--config: found more than {DEEPEST} levels of nesting")
    if is_mapping(value):
        known = schema.get("properties", {})
        others: Schema = schema.get("additionalProperties") or {}
        keys = schema.get("propertyNames", {"type": "string"})
        return {
            _typed_text(key, keys): typed(child, known.get(key, others), depth + 1)
            for key, child in value.items()
        }
    if is_list(value):
        return [typed(child, schema.get("items", {}), depth + 1) for child in value]
    return _typed_text(value, schema if "type" in schema else _ANY)


def _typed_text(value: object, schema: Schema) -> object:
    types = schema.get("type", "string")
    if not isinstance(value, str):
        return value
    for name, read in _READERS:
        try:
            if name == types or (isinstance(types, list) and name in types):
                return read(value.lower())
        except (KeyError, ValueError):
            continue
    return value
