"""The configuration reference, written out of the schemas."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lgd_core.config.schema import load_yaml

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

Every key of every YAML file under `config/`, written out of `config/schemas/` by
`python -m lgd_core.config.reference docs/configuration.md`. A key that is not listed is refused.
`config/README.md` says which file wins where several set a key.
"""


def reference(folder: str | Path) -> str:
    """Return the reference of all schemas in a folder, as Markdown: one table per schema."""
    parts = [_HEAD]
    for path in sorted(Path(folder).glob("*.schema.yaml")):
        schema = load_yaml(path)
        rows = [" | ".join(row) for row in _rows(schema)]
        title = path.name.removesuffix(".schema.yaml")
        table = ["| key | type | default | bounds | meaning |", "|---|---|---|---|---|"]
        table += [f"| {row} |" for row in rows]
        parts.append(f"## {title}\n\n{schema['description']}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _rows(schema: dict, path: str = "") -> Iterator[tuple[str, str, str, str, str]]:
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


def _type(key: dict) -> str:
    kinds = key.get("type", "any")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds == ["array"] and "type" in key.get("items", {}):
        return f"list of {_type(key['items'])}"
    return " or ".join(kinds)


def _default(key: dict, required: bool) -> str:
    if "default" in key:
        return f"`{json.dumps(key['default'], ensure_ascii=False)}`"
    return "required" if required else ""


def _bounds(key: dict) -> str:
    bounds = [text.format(key[name]) for name, text in _BOUNDS.items() if name in key]
    if "enum" in key:
        words = ("null" if value is None else value for value in key["enum"])
        bounds.append(", ".join(f"`{word}`" for word in words))
    return "; ".join(bounds).replace("|", "\\|")


if __name__ == "__main__":  # python -m lgd_core.config.reference docs/configuration.md
    Path(sys.argv[1]).write_text(reference("config/schemas"))
