"""Kinds of data sets: what a module says of one, and one that is added."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from own_kind import RECIPE, ROOT, add_kind
from pydantic import model_validator

from lgd_core.base.errors import UserError
from lgd_core.config import data_kinds
from lgd_core.config.data_kinds import SourceKind, kind_of, source_model
from lgd_core.config.models.base import Config, DisagreementError, validated
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.config.models.source import SourceKeys
from lgd_core.config.sources import fetching_keys, preparing_keys
from lgd_core.data.kind import DataKind

KINDS = data_kinds.data_kinds()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("lgd_core", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "priors", tmp_path / "priors", symlinks=True)
    add_kind(tmp_path)
    return tmp_path


def run(folder: Path, code: str) -> str:
    """Run Python with the library of a folder; return what it prints, or the error's last line."""
    words = [sys.executable, "-c", code]
    known = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=known)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


LOAD = """
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import source_settings
recipes = Recipes("config", {"datasets": ["stripes"], "methods": ["dit"], "ipc": [10]})
"""


def test_a_module_and_a_recipe_are_a_kind(copy: Path) -> None:
    facts = run(
        copy,
        f"""{LOAD}
import sys
assert not {{"torch", "numpy", "PIL"}} & sys.modules.keys()
assert recipes.list_source("stripes") is None
from pathlib import Path
from lgd_core.config.sources import fetching_keys, images_root, preparing_keys
from lgd_core.data.fetching import fetch
from lgd_core.data.real_images import prepare
settings = source_settings(recipes.dataset("stripes"))
fetched = fetch(settings.source, Path("raw"), print)
root = images_root(settings.source, Path("raw"))
Path("data").mkdir()
facts = prepare("stripes", settings, root, Path("data"), 1, lambda line: None)
print(fetched, facts["images"]["test"], fetching_keys(settings.source), sep=" | ")
print(preparing_keys(settings.source))
""",
    )
    first, second = facts.splitlines()[-2:]
    assert first == (
        "{'served_by': 'drawing'} | {'narrow': 8, 'wide': 8, 'wider': 8} | {'kind': 'stripes'}"
    )
    assert second == (
        "{'kind': 'stripes', 'validation_fraction': 0.1, 'skip_broken': False, 'per_class': 40}"
    )


def test_the_reference_describes_it(copy: Path) -> None:
    text = run(
        copy,
        "from lgd_core.config.reference import written_files\n"
        "print(written_files()['docs/configuration.md'])",
    )
    assert "stripes (drawn stripes of one width per class)" in text
    assert (
        "| `source.per_class` | integer | `50` | ≥ 1 | Images of every class, for stripes. |"
        in text
    )


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("per_class:", "per_clas:", "source.per_clas: unknown key, did you mean 'per_class'?"),
        ("per_class: 40", "per_class: 0", "source.per_class: found 0, expected at least 1"),
        ("kind: stripes", "kind: stripe", "source.kind: found 'stripe', expected one of digits, "),
    ],
)
def test_its_recipe_is_checked_as_any(copy: Path, old: str, new: str, line: str) -> None:
    path = copy / RECIPE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert f"UserError: {RECIPE}: {line}" in run(copy, LOAD)


def test_a_name_of_two_words_has_a_hyphen() -> None:
    modules = {path.stem for path in (ROOT / "lgd_core/data/kinds").glob("[a-z]*.py")}
    assert set(KINDS) == {name.replace("_", "-") for name in modules}
    assert "fashion-mnist" in KINDS


@pytest.mark.parametrize("name", KINDS)
def test_what_a_kind_says_fits_its_keys(name: str) -> None:
    kind = KINDS[name]
    assert isinstance(kind, DataKind)
    own = kind.keys.model_fields.keys() - SourceKeys.model_fields.keys()
    assert own >= {*kind.fetched_by, *kind.prepared_by}
    assert kind.description
    assert kind.folder is None or (kind.folder.meaning and kind.folder.expected)


@pytest.mark.parametrize("name", KINDS)
def test_keys_of_other_kinds_decide_nothing(name: str) -> None:
    changes: dict[str, Any] = {
        "archive": "imagewoof2",
        "complete": False,
        "packages": ["fonts-lato"],
        "characters": ["A"],
        "exclude": ["x"],
        "test_fraction": 0.3,
        "test_share": 0.3,
        "min_distance": 0.5,
    }
    known = SourceConfig.model_fields.keys() - SourceKeys.model_fields.keys()
    assert known == changes.keys()
    others = {key: changes[key] for key in known - KINDS[name].keys.model_fields.keys()}
    plain, changed = SourceConfig(kind=name), SourceConfig(kind=name, **others)
    for keys in (fetching_keys, preparing_keys):
        assert keys(plain) == keys(changed)
    assert kind_of(plain).own(plain) == kind_of(changed).own(changed)


def test_two_kinds_cannot_have_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"fonts": KINDS["fonts"], "more-fonts": KINDS["fonts"]}
    monkeypatch.setattr(data_kinds, "data_kinds", lambda: both)
    with pytest.raises(TypeError, match="key 'packages' of 'more-fonts' is another kind's"):
        source_model()


class PairKeys(SourceKeys):
    """Two keys that must not both be set."""

    left: bool = False
    right: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "PairKeys":
        if self.left and self.right:
            raise DisagreementError("right", "found true, expected false beside left")
        return self


class Pair(SourceKind[PairKeys]):
    description = "one of two"
    keys = PairKeys


def test_keys_of_a_kind_can_check_each_other() -> None:
    class Flat(SourceKeys):
        left: bool = False
        right: bool = False

    class Holder(Config):
        source: Flat

        @model_validator(mode="after")
        def _checked(self) -> "Holder":
            Pair().own(self.source)
            return self

    assert validated(Holder, {"source": {"kind": "pair", "left": True}}, "x.yaml")
    with pytest.raises(UserError, match=r"^x\.yaml: source\.right: found true, expected false"):
        validated(Holder, {"source": {"kind": "pair", "left": True, "right": True}}, "x.yaml")
