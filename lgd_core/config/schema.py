"""Closed schemas: one line for the first thing wrong, and the defaults for what is absent.

They are made of the models of the configuration, see ``schema_of``. Neither pydantic nor jsonschema
is imported before it is used: each takes longer than all else here, and most jobs check nothing.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from lgd_core.base.errors import UserError
from lgd_core.config.plain import Keys, Schema, is_list, is_mapping
from lgd_core.config.yaml_loader import Loader

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

# What does not fit into 64 bits is no number of anything here, and some need thousands of digits.
LARGEST = 2**63

_WORDS = {
    "type": "expected {0}",
    "minimum": "expected at least {0}",
    "maximum": "expected at most {0}",
    "exclusiveMinimum": "expected more than {0}",
    "exclusiveMaximum": "expected less than {0}",
    "enum": "expected one of {0}",
    "minItems": "expected at least {0} items",
    "maxItems": "expected at most {0} items",
    "minProperties": "expected at least {0} key",
    "minLength": "expected a text",
    "maxLength": "expected at most {0} characters",
    "uniqueItems": "expected no item twice",
}


def _is_whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _validator() -> type[Draft202012Validator]:
    from jsonschema import Draft202012Validator, validators

    # JSON Schema takes 3.0 for an integer; what counts images or repeats loops must be one.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole)
    # The stubs of jsonschema leave out what extend takes and returns, and what iter_errors takes.
    return validators.extend(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        Draft202012Validator, {"uniqueItems": _unique_items}, type_checker=types
    )


def _unique_items(validator: Any, unique: bool, items: object, schema: Any) -> Iterator[Any]:
    """Check ``uniqueItems`` as jsonschema does, which compares every mapping with every other.

    For the thousand classes of ImageNet this takes seconds, in every job. Mappings of other text
    are other mappings.
    """
    from jsonschema import Draft202012Validator

    if is_list(items) and all(map(is_mapping, items)) and _texts_differ(items):
        return
    checks: Any = Draft202012Validator.VALIDATORS  # pyright: ignore[reportUnknownMemberType]
    yield from checks["uniqueItems"](validator, unique, items, schema) or ()


def _texts_differ(items: list[Any]) -> bool:
    try:
        return len({json.dumps(item, sort_keys=True) for item in items}) == len(items)
    except (TypeError, ValueError, RecursionError):  # of YAML's types, not all are JSON's
        return False


def load_yaml(path: Path) -> Keys:
    """Read a YAML mapping; raises UserError if the file is missing, broken or no mapping."""
    try:
        value: object = yaml.load(path.read_bytes(), Loader)  # noqa: S506 - a CSafeLoader
    except FileNotFoundError:
        raise UserError(f"{path}: not found, expected a YAML file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}, expected a YAML file") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: not YAML: {error.problem}{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    if not is_mapping(value):
        found = "nothing" if value is None else type(value).__name__
        raise UserError(f"{path}: found {found}, expected a mapping of keys")
    return value


def check(value: Keys, schema: Schema, where: str, partial: bool = False) -> None:
    """Raise UserError for the first key that breaks the schema; ``where`` names file or key.

    ``partial`` accepts a layer that leaves out required keys.
    """
    for path, number in _numbers(value):
        if not abs(number) < LARGEST:
            raise UserError(f"{where}: {path}: found {shown(number)}, expected a finite number")
    errors: Iterator[ValidationError]
    errors = _validator()(schema).iter_errors(value)  # pyright: ignore[reportUnknownMemberType]
    counted = [e for e in errors if not (partial and e.validator == "required")]
    if counted:
        first = min(counted, key=lambda e: list(map(str, e.path)))
        raise UserError(f"{where}: {_explain(_fault(first))}")


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield all numbers, those among keys too, with their paths."""
    if isinstance(value, int | float):
        yield path, value
    children: Iterable[tuple[Any, Any]] = value.items() if is_mapping(value) else ()
    children = enumerate(value) if is_list(value) else children
    for key, child in children:
        yield from _numbers(key, path) if isinstance(value, dict) else ()
        yield from _numbers(child, f"{path}.{key}" if path else str(key))


@dataclass(frozen=True)
class _Fault:
    """A value that a word of its schema refuses, such as ``minimum``, and what that word allows."""

    path: str
    value: Any
    schema: Any
    word: str
    allowed: Any


def _fault(error: ValidationError) -> _Fault:
    path = ".".join(map(str, error.absolute_path))
    return _Fault(path, error.instance, error.schema, str(error.validator), error.validator_value)


def _explain(fault: _Fault) -> str:
    path = fault.path
    prefix = f"{path}: " if path else ""
    if fault.word == "additionalProperties":
        known = list(fault.schema["properties"])
        key = next(key for key in fault.value if key not in known)
        return f"{path + '.' if path else ''}{key}: unknown key{suggest(key, known)}"
    if fault.word == "required":
        missing = next(key for key in fault.allowed if key not in fault.value)
        return f"{path + '.' if path else ''}{missing}: missing, expected a value"
    return f"{prefix}found {shown(fault.value)}, {_expected(fault)}{_hint(fault)}"


def _expected(fault: _Fault) -> str:
    """Say what a key should hold: in the schema's own words where a pattern would say nothing."""
    if fault.word == "pattern":
        return f"expected {fault.schema['expected']}"
    return _WORDS.get(fault.word, "expected {0}").format(_plain(fault.allowed))


def shown(value: object) -> str:
    """Return a value as a message shows it; its middle goes where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out a whole number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 120 else f"{text[:80]} ... {text[-30:]}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if is_list(value) else str(value)


def _hint(fault: _Fault) -> str:
    """Say how to write what was meant: a list of one item, or a number that YAML took for text."""
    text = fault.value
    if fault.word != "type" or not isinstance(text, str):
        return ""
    if fault.allowed == "array":
        return f" (write [{text}])"
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    quoted = not isinstance(yaml.load(text, Loader), str)  # noqa: S506 - a CSafeLoader
    whole = "integer" in fault.allowed and number.is_integer() and number < 1e15
    written = str(int(number)) if whole else _with_point_and_sign(text.strip().lower())
    return f" ({'it is quoted' if quoted else 'YAML takes it for text'}; write {written})"


def _with_point_and_sign(number: str) -> str:
    """Return a number as YAML 1.1 knows it: with a point, and a sign before its exponent."""
    mantissa, e, exponent = number.partition("e")
    if not e:
        return number
    mantissa += "" if "." in mantissa else ".0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"


def suggest(word: str, known: list[str]) -> str:
    """Return ', did you mean ...' for the nearest known word, else the list of them."""
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f", did you mean '{near[0]}'?" if near else f", expected one of {', '.join(known)}"


def fill_defaults(value: Keys, schema: Schema) -> Keys:
    """Return a copy of ``value`` with the schema's defaults for absent keys, at every level.

    Where the schema has numbers, ``0`` becomes ``0.0``: both are the same value, in one form.
    """
    filled = deepcopy(value)
    for key, rule in schema.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = deepcopy(rule["default"])
        if key in filled:
            filled[key] = _filled(filled[key], rule)
    return filled


def _filled(value: object, rule: Schema) -> object:
    if is_mapping(value):
        return fill_defaults(value, rule)
    if is_list(value):
        return [_filled(item, rule.get("items", {})) for item in value]
    types = rule.get("type", ())
    types = [types] if isinstance(types, str) else types
    # A value of a sweep is a number or a word; which of both numbers, the key that is swept says.
    is_number = "number" in types and not {"integer", "string"} & set(types)
    return float(value) if is_number and type(value) is int else value


def merge(base: Keys, changes: Keys) -> Keys:
    """Return ``base`` with ``changes`` laid over it; mappings merge, all else is replaced."""
    merged = deepcopy(base)
    for key, value in changes.items():
        both = is_mapping(value) and is_mapping(merged.get(key))
        merged[key] = merge(merged[key], value) if both else deepcopy(value)
    return merged


# What annotations of models say, in the words of a schema.
_TYPES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_SIZES = {"string": "Length", "array": "Items", "object": "Properties"}


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """Return the JSON schema of a model, models within it written out in their places.

    A key that may be null has a list of types, one of several types the rules of them all, and a
    pattern says in ``expected`` what it wants. Raises TypeError for a type that no key has yet.
    """
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    schema: Schema = {"type": "object", "description": _text(inspect.getdoc(model))}
    schema |= {"additionalProperties": False}
    schema["properties"] = {key: _key(field) for key, field in fields.items()}
    if required := [key for key, field in fields.items() if field.is_required()]:
        schema["required"] = required
    return schema


def _text(lines: str | None) -> str:
    return " ".join((lines or "").split())


def _key(field: FieldInfo) -> Schema:
    rule = _rule(field.annotation, [field])
    if field.default_factory is not None:
        return rule | {"default": {}}
    # A default of None, where the key is never null, is that of a key that may be left out.
    if field.is_required() or (field.default is None and "null" not in rule["type"]):
        return rule
    return rule | {"default": field.default}


def _rule(annotation: Any, told: list[Any]) -> Schema:
    """Return the rule of a type; ``told`` is what the model says of it, the last word last."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        told = more + told
    rule = _bare(annotation)
    for item in told:
        for part in getattr(item, "metadata", [item]):
            _limit(rule, part)
        rule |= getattr(item, "json_schema_extra", None) or {}
        rule |= {"description": item.description} if getattr(item, "description", None) else {}
    return rule


def _bare(annotation: Any) -> Schema:
    """Return the rule of a type of which nothing else is said."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _any_of([_rule(part, []) for part in parts if not _is_skipped(part)])
    if origin is Literal:
        return {"type": _TYPES[type(parts[0])], "enum": list(parts)}
    if origin is list:
        return {"type": "array", "items": _rule(parts[0], [])}
    if origin is dict:
        keys, values = ({} if part in (object, Any) else _rule(part, []) for part in parts)
        rule: Schema = {"type": "object"}
        rule |= {"propertyNames": keys} if keys not in ({}, {"type": "string"}) else {}
        return rule | ({"additionalProperties": values} if values else {})
    if hasattr(annotation, "model_fields"):
        return deepcopy(schema_of(annotation))
    if annotation not in _TYPES:
        raise TypeError(f"{annotation}: no schema for keys of this type")
    return {"type": _TYPES[annotation]}


def _is_skipped(annotation: Any) -> bool:
    """Whether a type is pydantic's SkipJsonSchema, which no schema shows."""
    parts = get_args(annotation) if get_origin(annotation) is Annotated else ()
    return any(type(part).__name__ == "SkipJsonSchema" for part in parts)


def _any_of(rules: list[Schema]) -> Schema:
    """Return one rule for a value of any of some types, none of which two rules have.

    Each of their words is about values of one type alone, but for the list of known values.
    """
    types = [rule["type"] for rule in rules]
    merged = {word: rule[word] for rule in rules for word in rule}
    if "enum" in merged and "null" in types:
        merged["enum"] = [*merged["enum"], None]
    return merged | {"type": types[0] if len(types) == 1 else types}


def _limit(rule: Schema, part: object) -> None:
    """Add what one piece of a model's metadata says of a type: a bound, a size or a pattern."""
    for name, word in _BOUNDS.items():
        if (bound := getattr(part, name, None)) is not None:
            rule[word] = bound
    for name in ("min", "max"):
        if (size := getattr(part, f"{name}_length", None)) is not None:
            rule[name + _SIZES[rule["type"]]] = size
    if (pattern := getattr(part, "pattern", None)) is not None:
        rule["pattern"] = pattern
