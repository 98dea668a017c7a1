"""Closed schemas: one line for the first thing wrong, and the defaults for what is absent."""

import difflib
import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lgd_core.errors import UserError

_WORDS = {
    "type": "expected {0}",
    "minimum": "expected at least {0}",
    "maximum": "expected at most {0}",
    "exclusiveMinimum": "expected more than {0}",
    "exclusiveMaximum": "expected less than {0}",
    "enum": "expected one of {0}",
    "minItems": "expected at least {0} items",
    "maxItems": "expected at most {0} items",
    "minLength": "expected a text",
    "uniqueItems": "expected no item twice",
    "pattern": "expected text like {0}",
}


def load_yaml(path: Path) -> dict:
    """Read a YAML mapping; raises UserError if the file is missing, broken or no mapping."""
    try:
        value = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not found, expected a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: found {type(value).__name__}, expected a mapping of keys")
    return value


def check(value: dict, schema: dict, where: str, partial: bool = False) -> None:
    """Raise UserError for the first key that breaks the schema; ``where`` names file or key.

    ``partial`` accepts a layer that leaves out required keys.
    """
    for path, number in _numbers(value):
        if not math.isfinite(number):
            raise UserError(f"{where}: {path}: found {number}, expected a finite number")
    errors = Draft202012Validator(schema).iter_errors(value)
    errors = [e for e in errors if not (partial and e.validator == "required")]
    if errors:
        raise UserError(f"{where}: {_explain(min(errors, key=lambda e: list(map(str, e.path))))}")


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield from _numbers(child, f"{path}.{key}" if path else str(key))


def _explain(error: ValidationError) -> str:
    path = ".".join(map(str, error.absolute_path))
    prefix = f"{path}: " if path else ""
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        key = next(key for key in error.instance if key not in known)
        return f"{path + '.' if path else ''}{key}: unknown key{suggest(key, known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{path + '.' if path else ''}{missing}: missing, expected a value"
    expected = _WORDS.get(error.validator, "expected {0}").format(_plain(error.validator_value))
    return f"{prefix}found {error.instance!r}, {expected}{_yaml_number_hint(error)}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _yaml_number_hint(error: ValidationError) -> str:
    """Explain why YAML reads 1e-4 as text."""
    if error.validator != "type" or not isinstance(error.instance, str):
        return ""
    try:
        number = float(error.instance)
    except ValueError:
        return ""
    mantissa, _, exponent = error.instance.lower().partition("e")
    if exponent and "." not in mantissa:
        return f" (YAML takes it for text; write {mantissa}.0e{exponent})"
    return f" (it is quoted; write {number:g})"


def suggest(word: str, known: list[str]) -> str:
    """Return ', did you mean ...' for the nearest known word, else the list of them."""
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else f", expected one of {', '.join(known)}"


def fill_defaults(value: dict, schema: dict) -> dict:
    """Return a copy of ``value`` with the schema's defaults for absent keys, at every level."""
    filled = deepcopy(value)
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = deepcopy(rule["default"])
        if isinstance(filled.get(key), dict):
            filled[key] = fill_defaults(filled[key], rule)
    return filled


def merge(base: dict, changes: dict) -> dict:
    """Return ``base`` with ``changes`` laid over it; mappings merge, all else is replaced."""
    merged = deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else deepcopy(value)
    return merged


def reread(config: dict) -> dict:
    """Give the types back that ``--config`` takes from values inside lists and mappings."""

    def typed(value: object) -> object:
        if isinstance(value, dict):
            return {key: typed(child) for key, child in value.items()}
        if isinstance(value, list):
            return [typed(child) for child in value]
        return yaml.safe_load(value) if isinstance(value, str) and value else value

    def nested(value: object) -> bool:
        return isinstance(value, dict | list)

    return {key: typed(value) if nested(value) else value for key, value in config.items()}
