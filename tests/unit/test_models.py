"""Models of the configuration: the schemas derived from them, and what they refuse themselves."""

from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from lgd_core.base.errors import UserError
from lgd_core.config.catalogue import MODELS
from lgd_core.config.models.base import (
    Absent,
    Config,
    Count,
    DisagreementError,
    Distinct,
    Fraction,
    Text,
    matching,
    validated,
)
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.schema import fill_defaults, schema_of


class Inner(Config):
    """Two words, on
    two lines.
    """

    low: int = Field(1, description="The lower one.")
    high: int = Field(2, description="The higher one.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise DisagreementError("low", f"found {self.low}, expected at most {self.high}")
        return self


class Outer(Config):
    """Every kind of key."""

    needed: Annotated[float, Field(gt=0, lt=1)]
    inner: Inner = Field(default_factory=Inner)
    share: Fraction = Field(0, description="Of all.")
    limit: Count | None = Field(3, description="At most.")
    kind: Literal["a", "b"] | None = None
    only: Literal["one"] = "one"
    base: str | Absent = None
    names: Distinct[Text] = Field(["x"], min_length=1)
    either: (
        Annotated[list[str], Field(min_length=1)]
        | Annotated[str, matching("^all$", "all or a list")]
    ) = "all"
    table: dict[Count, Count] = Field({1: 2}, min_length=1)
    by_name: dict[Annotated[str, matching("^n", "n")], Text | Inner] = {}  # noqa: RUF012
    free: dict[str, object] = Field({}, alias="with")


KEYS = schema_of(Outer)["properties"]


def test_a_model_is_a_closed_object_with_models_written_out():
    schema = schema_of(Outer)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert (schema["description"], schema["required"]) == ("Every kind of key.", ["needed"])
    assert list(schema["properties"])[:3] == ["needed", "inner", "share"]
    inner = schema["properties"]["inner"]
    assert (inner["description"], inner["default"]) == ("Two words, on two lines.", {})
    assert inner["properties"]["low"] == {
        "type": "integer",
        "description": "The lower one.",
        "default": 1,
    }


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("needed", {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
        (
            "share",
            {"type": "number", "minimum": 0, "maximum": 1, "description": "Of all.", "default": 0},
        ),
        (
            "limit",
            {"type": ["integer", "null"], "minimum": 1, "description": "At most.", "default": 3},
        ),
        ("kind", {"type": ["string", "null"], "enum": ["a", "b", None], "default": None}),
        ("only", {"type": "string", "enum": ["one"], "default": "one"}),
        ("base", {"type": "string"}),
        (
            "names",
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "uniqueItems": True,
                "default": ["x"],
            },
        ),
        (
            "either",
            {
                "type": ["array", "string"],
                "items": {"type": "string"},
                "minItems": 1,
                "pattern": "^all$",
                "expected": "all or a list",
                "default": "all",
            },
        ),
        (
            "table",
            {
                "type": "object",
                "propertyNames": {"type": "integer", "minimum": 1},
                "additionalProperties": {"type": "integer", "minimum": 1},
                "minProperties": 1,
                "default": {1: 2},
            },
        ),
        ("with", {"type": "object", "default": {}}),
    ],
)
def test_what_a_model_says_of_a_key_is_in_its_schema(key, rule):
    assert KEYS[key] == rule


def test_a_value_may_be_a_text_or_a_model():
    rule = KEYS["by_name"]
    assert rule["propertyNames"] == {"type": "string", "pattern": "^n", "expected": "n"}
    values = rule["additionalProperties"]
    assert (values["type"], values["minLength"]) == (["string", "object"], 1)
    assert values["properties"].keys() == {"low", "high"}


def test_a_type_that_no_key_has_is_not_passed_over():
    class Odd(Config):
        """Odd."""

        key: complex = 0j

    with pytest.raises(TypeError, match="complex"):
        schema_of(Odd)


NEEDED = {
    "config": {},
    "method": {},
    "protocol": {},
    "ablation": {"title": "T", "base": "dit", "ipc": [10], "methods": ["dit"]},
    "dataset": {
        "classes": ["a", "b"],
        "image": {"size": 8, "channels": 1},
        "normalise": {"mean": [0.5], "std": [0.5]},
        "source": {"kind": "digits"},
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_defaults_of_the_schema_are_those_of_the_model(name):
    model, values = MODELS[name], NEEDED[name]
    filled = fill_defaults(values, schema_of(model))
    assert validated(model, filled, "here") == model.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"inner": {"low": 3}}, "here: inner.low: found 3, expected at most 2"),
        ({"names": ["x", "x"]}, "here: names: found ['x', 'x'], expected no item twice"),
    ],
)
def test_keys_that_do_not_agree_are_named_with_their_place(changes, text):
    with pytest.raises(UserError) as caught:
        validated(Outer, {"needed": 0.5} | changes, "here")
    assert str(caught.value) == text


@pytest.mark.parametrize("bad", [{"needed": "0.5"}, {"needed": 0.5, "with": {1: 2}}, {"a\nb": 1}])
def test_whatever_a_schema_let_through_is_refused_in_one_line(bad):
    with pytest.raises(UserError, match=r"^here: .*found") as caught:
        validated(Outer, bad, "here")
    assert str(caught.value).isprintable()


def test_models_are_not_changed_once_made():
    method = MethodConfig()
    with pytest.raises(ValidationError, match="frozen"):
        method.candidates = 3
