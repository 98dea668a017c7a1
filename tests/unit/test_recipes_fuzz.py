"""Whatever stands in the configuration, it is accepted or refused in one line."""

import os
import shutil
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lgd_core.base.errors import LONGEST, UserError
from lgd_core.config import catalogue
from lgd_core.config.catalogue import read_run
from lgd_core.config.recipes import Recipes
from lgd_core.config.schema import load_yaml

ROOT = Path(__file__).parents[2]
RUN = Path("config/config.yaml")
FILES = [RUN, *(p.relative_to(ROOT) for p in sorted(ROOT.glob("config/[dma]*s/*.yaml")))]
BOUNDED = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
DEEP = [[[[[[[[[[[[]]]]]]]]]]]]
NUMBERS = [True, -1, 0, 1, 3.0, 0.5, 10**30, float("nan"), float("inf"), -float("inf")]
TEXTS = ["", "all", "own", "1e3", "no", "a/b", "../x", "~nobody/x", "$LGD_TEST_NO", "x" * 5000]
ODD = ["\u202e\u2603", "a\nb", "\0", "\x1b[31m", "igd", "folder", "train", "owner/name", None]
PARTS = [[], {}, DEEP, [1, 0.0], ["a", "a"], {"a": {"b": 1}}, {1: 2}, {None: None}, {True: "x"}]
VALUES = st.one_of(*map(st.sampled_from, (NUMBERS, TEXTS, ODD, PARTS))).map(deepcopy)
KEYS = st.sampled_from(["extends", "window", "", "\u2603", "a b", 1, None, 0.5, 10**30, "x" * 999])
SIGNS = ["\t", "\0", "\xff", "{", "]", ": ", "- ", "? ", "'", '"', "#", "|", "%", "\n---\n"]
ANCHORS = ["&a ", "*a ", "&a [*a]", "<<: *a\n", "!!set ", "!x ", "\ufeff"]
LONG = ["0x" + "f" * 5000, "9" * 5000, "[" * 500]
SCRAPS = st.one_of(*map(st.sampled_from, (SIGNS, ANCHORS, LONG)))
NAMES = st.text(min_size=1, max_size=30).filter(lambda name: not set(name) & {"/", "\0"})


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A copy of the configuration as working directory; files that stay are parsed once."""
    place, before = tmp_path_factory.mktemp("fuzz"), Path.cwd()
    shutil.copytree(ROOT / "config", place / "config")
    shutil.copytree(ROOT / "priors", place / "priors")
    parsed = cache(lambda path, content: load_yaml(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "load_yaml", lambda path: parsed(path, _content(path)))
        os.chdir(place)
        yield
        os.chdir(before)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def read_all(path: Path, words: dict | None = None) -> None:
    """Read a run that uses a file; pass if it is accepted or refused in one line."""
    kind, name = path.parent.name, path.stem
    try:
        used = {kind: [name]} if kind in ("datasets", "methods") else {}
        found = Recipes("config", read_run([RUN]) | used, words)
        if kind == "ablations":
            found.sweep("digits", name)
    except UserError as error:
        text = str(error)
        assert text.isprintable(), "one line"
        assert 0 < len(text) <= LONGEST


def paths_in(value: object, path: tuple = ()) -> list[tuple]:
    """Return the paths of all values within a value."""
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    below = [found for key, child in children for found in paths_in(child, (*path, key))]
    return [path, *below] if path else below


def mutate(data: st.DataObject, value: dict) -> None:
    """Replace, remove or add something at a random place."""
    *parents, last = data.draw(st.sampled_from(paths_in(value)))
    target = value
    for key in parents:
        target = target[key]
    change = data.draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if change == "remove":
        del target[last]
    elif change == "add" and isinstance(target, dict):
        target[data.draw(KEYS)] = data.draw(VALUES)
    else:
        target[last] = data.draw(VALUES)


def edited(path: Path, content: bytes) -> None:
    """Read the run with other bytes in one of its files."""
    original = path.read_bytes()
    try:
        path.write_bytes(content)
        read_all(path)
    finally:
        path.write_bytes(original)


@BOUNDED
@given(st.data())
def test_any_values(data):
    path = data.draw(st.sampled_from(FILES))
    value = yaml.safe_load(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        if paths_in(value):
            mutate(data, value)
    edited(path, yaml.safe_dump(value).encode())


@BOUNDED
@given(st.data())
def test_any_scraps_and_doubled_lines(data):
    path = data.draw(st.sampled_from(FILES))
    text = path.read_text()
    place = data.draw(st.integers(0, len(text)))
    if data.draw(st.booleans()):
        changed = text[:place] + data.draw(SCRAPS) + text[place:]
    else:
        lines = text.splitlines(keepends=True)
        line = data.draw(st.sampled_from(lines))
        changed = "".join([*lines[: place % len(lines)], line, *lines[place % len(lines) :]])
    edited(path, changed.encode("latin-1", "replace"))


@BOUNDED
@given(st.sampled_from(["datasets", "methods", "ablations"]), NAMES)
def test_any_file_names(kind, name):
    path = Path(f"config/{kind}/{name}.yaml")
    try:
        path.write_text("extends: dit\n")
    except (OSError, UnicodeEncodeError):
        return
    try:
        read_all(path)
    finally:
        path.unlink()


@BOUNDED
@given(st.data())
def test_any_words_of_the_command_line(data):
    words = {
        "runs": "2",
        "methods": ["dit", "lgd"],
        "external": {"mine": {"folder": "config", "increment": "5"}},
        "overrides": {
            "datasets": {"fashionmnist": {"evaluation": {"epochs": {"10": "30"}}}},
            "methods": {"lgd": {"candidates": "2"}},
            "ablations": {"kappa": {"values": ["1", "2"]}},
        },
    }
    for _ in range(data.draw(st.integers(1, 2))):
        if paths_in(words):
            mutate(data, words)
    read_all(RUN, words)
