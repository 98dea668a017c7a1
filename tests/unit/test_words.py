"""Values of the command line take the types that the schema has at their places."""

import pytest

from lgd_core.config.words import typed

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "name": {"type": "string"},
        "revision": {"type": ["string", "null"]},
        "limit": {"type": ["integer", "null"]},
        "flag": {"type": "boolean"},
        "values": {"type": "array", "items": {"type": ["number", "string"]}},
        "epochs": {
            "type": "object",
            "propertyNames": {"type": "integer"},
            "additionalProperties": {"type": "integer"},
        },
        "with": {"type": "object"},
        "part": {"type": "object", "additionalProperties": False, "properties": {}},
    },
}


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("count", "8", 8),
        ("count", "3.5", "3.5"),
        ("count", "many", "many"),
        ("share", "8", 8),
        ("share", "1e-4", 1e-4),
        ("name", "0123456", "0123456"),
        ("name", "no", "no"),
        ("name", "run #2", "run #2"),
        ("revision", "0123456", "0123456"),
        ("revision", "null", None),
        ("limit", "null", None),
        ("limit", "7", 7),
        ("flag", "true", True),
        ("flag", "False", False),
        ("flag", "maybe", "maybe"),
        ("values", ["1", "0.5", "igd"], [1, 0.5, "igd"]),
        ("epochs", {"10": "30"}, {10: 30}),
        ("epochs", {"ten": "30"}, {"ten": 30}),
        ("with", {"window": ["1", "2"], "a.b": "true"}, {"window": [1, 2], "a.b": True}),
        ("part", {"other": "x"}, {"other": "x"}),
        ("unknown", "3", 3),
    ],
)
def test_text_becomes_what_the_schema_wants(key, text, expected):
    found = typed({key: text}, SCHEMA)[key]
    assert found == expected
    assert type(found) is type(expected)


def test_what_has_a_type_keeps_it():
    assert typed({"count": 3.0, "name": 3, "flag": None}, SCHEMA) == {
        "count": 3.0,
        "name": 3,
        "flag": None,
    }
