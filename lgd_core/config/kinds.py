"""The kinds of data sets there are: one per module of `lgd_core.data.kinds`."""

from typing import Any, Literal

from pydantic import Field, create_model

from lgd_core.config.models.source import SourceKeys
from lgd_core.config.plugins import discover
from lgd_core.config.source_kind import SourceKind

# By name alone, since the package stands above this one.
PACKAGE = "lgd_core.data.kinds"
VARIABLE = "LGD_DATA"


def kinds() -> dict[str, SourceKind[Any]]:
    """Return all kinds of data sets by their names in recipes, in alphabetical order."""
    return discover(PACKAGE, "KIND")


def kind_of(source: SourceKeys) -> SourceKind[Any]:
    """Return the kind of a source."""
    return kinds()[source.kind]


def source_model() -> type[SourceKeys]:
    """Return the model of ``source:``, in which the keys of all kinds stand side by side.

    Raises TypeError where two kinds have the same key.
    """
    known = kinds()
    fields: dict[str, Any] = {
        "kind": (Literal[tuple(known)], Field(description=_kinds_in_words(known))),
        "folder": (str | None, Field(None, description=_folders_in_words(known))),
    }
    for name, kind in known.items():
        for key, field in kind.keys.model_fields.items():
            if key in SourceKeys.model_fields:
                continue
            if key in fields:
                raise TypeError(f"{PACKAGE}: key '{key}' of '{name}' is another kind's already")
            fields[key] = (field.annotation, field)
    return create_model("KeysOfAllKinds", __base__=SourceKeys, **fields)


def _kinds_in_words(known: dict[str, SourceKind[Any]]) -> str:
    return f"{_listed([f'{name} ({kind.description})' for name, kind in known.items()], 'or')}."


def _folders_in_words(known: dict[str, SourceKind[Any]]) -> str:
    folders = {name: kind.folder for name, kind in known.items() if kind.folder}
    meanings = "; ".join(f"for {name}, {folder.meaning}" for name, folder in folders.items())
    named = _listed([name for name, folder in folders.items() if folder.by_variable], "and")
    return f"A local copy: {meanings}. Null means the environment variable {VARIABLE} for {named}."


def _listed(words: list[str], link: str) -> str:
    return f" {link} ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
