"""HTML pages out of templates: files of their own, with all that they show in them."""

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

# Elements without an end tag.
VOID = ("img",)


def filled(template: str, parts: Mapping[str, str]) -> str:
    """Return a template of this folder with each %NAME% replaced by a part, in their order.

    %HEAD% is head.html, whose TITLE and STYLE are among the parts.
    """
    page = _read(template).replace("%HEAD%", _read("head.html"))
    for name, text in parts.items():
        page = page.replace(f"%{name}%", text)
    return page


def joined_files(names: Sequence[str]) -> str:
    """Return style sheets or scripts of this folder as one text."""
    return "\n".join(map(_read, names))


def as_json(value: object) -> str:
    """Return a value as JSON that may stand in a script of a page."""
    # Text must not contain the end tag of the script.
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def element(tag: str, content: str, /, **attributes: object) -> str:
    """Return an HTML element; ``content`` is HTML, values of attributes are text.

    A trailing underscore is left out of an attribute's name, and other underscores are hyphens. An
    attribute that is None is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>" + ("" if tag in VOID else f"{content}</{tag}>")


def _read(name: str) -> str:
    return files("lgd_core.figures").joinpath(name).read_text(encoding="utf-8").rstrip()
