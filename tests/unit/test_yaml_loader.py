"""YAML as configuration has it: what is refused, and what is read as plain YAML."""

from pathlib import Path

import pytest

from lgd_core.base.errors import UserError
from lgd_core.config.schema import load_yaml


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "recipe.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a: 1\nb: 2\na: 3\n", ["key 'a' twice", "line 3"]),
        ("a: {b: {c: 1, c: 1}}\n", ["key 'c' twice", "line 1"]),
        ("a: &x {b: *x}\n", ["*x within &x", "line 1"]),
        ("a: &x\n  <<: *x\n", ["*x within &x", "line 2"]),
        ("a: &x [1, *x]\n", ["*x within &x"]),
        ("a: " + "[" * 5000, ["30 levels", "line 1"]),
        ("a:\n" + "".join(" " * n + "- \n" for n in range(1, 200)), ["30 levels"]),
        ("\ta: 1\n", ["line 1"]),
        (b"a: \x00\n", ["x0000"]),
        (b"a: \xff\n", ["not YAML"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["python/object", "line 1"]),
        ("a: !!set {b, c}\n", [":set"]),
        ("a: !!binary aGVsbG8=\n", [":binary"]),
        ("a: " + "9" * 5000 + "\n", ["not YAML"]),
        ("[a, b]: 1\n", ["list or mapping as key"]),
        ("- a\n- b\n", ["found list", "mapping of keys"]),
        ("", ["found nothing", "mapping of keys"]),
        ("a: 1\n---\nb: 2\n", ["line 2"]),
    ],
)
def test_a_file_that_is_not_what_it_seems_is_refused_in_one_line(tmp_path, content, parts):
    path = written(tmp_path, content)
    with pytest.raises(UserError) as caught:
        load_yaml(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) <= 400
    for part in parts:
        assert part in text, text


def test_a_folder_named_like_a_file_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").mkdir()
    with pytest.raises(UserError, match=r"recipe\.yaml: Is a directory, expected a YAML file"):
        load_yaml(tmp_path / "recipe.yaml")


def test_anchors_and_merge_keys_work(tmp_path):
    path = written(
        tmp_path,
        "base: &base {a: 1, b: 2}\n"
        "one: {<<: *base, b: 3}\n"
        "two: &two\n  <<: *base\n  a: 4\n"
        "three: {<<: *two, c: 5}\n"
        "four: [*base, *base]\n",
    )
    assert load_yaml(path) == {
        "base": {"a": 1, "b": 2},
        "one": {"a": 1, "b": 3},
        "two": {"a": 4, "b": 2},
        "three": {"a": 4, "b": 2, "c": 5},
        "four": [{"a": 1, "b": 2}] * 2,
    }


def test_dates_are_text_and_numbers_are_numbers(tmp_path):
    path = written(tmp_path, "a: 2001-01-01\nb: 2001-13-45\nc: [1, 1.5, true, null, '1', =]\n")
    assert load_yaml(path) == {
        "a": "2001-01-01",
        "b": "2001-13-45",
        "c": [1, 1.5, True, None, "1", "="],
    }
