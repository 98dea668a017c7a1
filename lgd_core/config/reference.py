"""What is written out of the models: the configuration reference, and schemas for editors."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lgd_core.config.catalogue import MODELS
from lgd_core.config.plain import Schema, is_list, is_mapping
from lgd_core.config.schema import schema_of

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "`{}`",
}

_HEAD = """# Configuration reference

Every key of every YAML file under `config/`, written out of `lgd_core/config/models/` by
`python -m lgd_core.config.reference`. A key that is not listed is refused.
`config/README.md` says which file wins where several set a key.
"""

# Draft 7 is what editors know best; all words of ours are in it.
_EDITORS: Schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$comment": (
        "For editors alone. Written out of lgd_core/config/models by "
        "python -m lgd_core.config.reference, do not edit."
    ),
}


def reference(models: Mapping[str, type[BaseModel]]) -> str:
    """Return the reference of models by name, as Markdown: one table per model."""
    parts = [_HEAD]
    for title in sorted(models):
        schema = schema_of(models[title])
        rows = [" | ".join(row) for row in _rows(schema)]
        table = ["| key | type | default | bounds | meaning |", "|---|---|---|---|---|"]
        table += [f"| {row} |" for row in rows]
        parts.append(f"## {title}\n\n{schema['description']}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def editor_schema(model: type[BaseModel]) -> str:
    """Return the JSON schema by which an editor completes and checks recipes of a model."""
    schema = _unless_extending(schema_of(model))
    return json.dumps(_EDITORS | _with_text_keys(schema), indent=1) + "\n"


def _unless_extending(schema: Schema) -> Schema:
    """Return a schema that requires keys only of a recipe that does not extend another."""
    required = schema.get("required")
    if not required or "extends" not in schema["properties"]:
        return schema
    kept = {word: rule for word, rule in schema.items() if word != "required"}
    return kept | {"anyOf": [{"required": ["extends"]}, {"required": required}]}


def _with_text_keys(node: object) -> Any:
    """Return a schema in which numbers as keys are text, as editors read them."""
    if is_list(node):
        return [_with_text_keys(item) for item in node]
    if not is_mapping(node):
        return node
    changed = {word: _with_text_keys(rule) for word, rule in node.items()}
    if node.get("propertyNames", {}).get("type") == "integer":
        changed["propertyNames"] = {"pattern": "^[0-9]+$"}
    return changed


def written_files() -> dict[str, str]:
    """Return the text of every file that is written out of the models, by its path."""
    files = {f"config/schemas/{name}.schema.json": editor_schema(m) for name, m in MODELS.items()}
    return files | {"docs/configuration.md": reference(MODELS)}


def _rows(schema: Schema, path: str = "") -> Iterator[tuple[str, str, str, str, str]]:
    """Yield key, type, default, bounds and meaning of every key, depth first."""
    for name, key in schema.get("properties", {}).items():
        full = f"{path}{name}"
        nested = "properties" in key
        default = "" if nested else _default(key, name in schema.get("required", ()))
        meaning = " ".join(key.get("description", "").split()).replace("|", "\\|")
        yield f"`{full}`", _type(key), default, _bounds(key), meaning
        yield from _rows(key, f"{full}.")
        items = key.get("items", {})
        yield from _rows(items, f"{full}[].")


def _type(key: Schema) -> str:
    kinds = key.get("type", "any")
    kinds = kinds if is_list(kinds) else [kinds]
    if kinds == ["array"] and "type" in key.get("items", {}):
        return f"list of {_type(key['items'])}"
    return " or ".join(kinds)


def _default(key: Schema, required: bool) -> str:
    if "default" in key:
        return f"`{json.dumps(key['default'], ensure_ascii=False)}`"
    return "required" if required else ""


def _bounds(key: Schema) -> str:
    bounds = [text.format(key[name]) for name, text in _BOUNDS.items() if name in key]
    if "enum" in key:
        words = ("null" if value is None else value for value in key["enum"])
        bounds.append(", ".join(f"`{word}`" for word in words))
    return "; ".join(bounds).replace("|", "\\|")


if __name__ == "__main__":  # python -m lgd_core.config.reference, in the project's folder
    for path, text in written_files().items():
        Path(path).write_text(text, encoding="utf-8")
