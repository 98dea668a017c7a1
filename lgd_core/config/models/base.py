"""What all models of the configuration have in common, and the types that many of their keys have.

Models are the one source of keys. `schema.schema_of` makes of them what recipe files are checked
by, `reference` the documentation and the schemas for editors.
"""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from lgd_core.base.errors import UserError
from lgd_core.config.schema import shown


class Config(BaseModel):
    """Keys that belong together; a key that is not among them is refused, and none is changed.

    The docstring of a model describes its section wherever the section has no words of its own.
    """

    # Validators are built when a model is first used: most jobs need few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


Item = TypeVar("Item")
Model = TypeVar("Model", bound=Config)


def matching(pattern: str, expected: str) -> object:
    """Return the rule that a text matches a pattern; ``expected`` says in words what it is."""
    return Field(pattern=pattern, json_schema_extra={"expected": expected})


class DisagreementError(ValueError):
    """Keys of a model that do not agree: the dotted key to change, and what was found in it.

    The key is one within the model, and empty where the fault is the model's as a whole.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def validated(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Return the model of keys that their schema has accepted and completed.

    Raises UserError, one line, for the first of them that do not agree; ``where`` names the file.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = first_fault(error)
        parts = [where, fault.key, str(fault)] if fault.key else [where, str(fault)]
        raise UserError(": ".join(parts)) from None


def first_fault(error: ValidationError) -> DisagreementError:
    """Return the first thing wrong with a model, with the dotted key where it was found."""
    fault = error.errors(include_url=False)[0]
    cause = fault.get("ctx", {}).get("error")
    path = [str(part) for part in fault["loc"]]
    if not isinstance(cause, DisagreementError):
        text = f"found {shown(fault['input'])}, {fault['msg']}"
        return DisagreementError(".".join(path), text)
    return DisagreementError(".".join([*path, *([cause.key] if cause.key else [])]), str(cause))


def _without_repeats(items: list[Item]) -> list[Item]:
    if len(set(items)) < len(items):
        raise DisagreementError("", f"found {shown(items)}, expected no item twice")
    return items


# A list without repeats.
Distinct = Annotated[
    list[Item], AfterValidator(_without_repeats), Field(json_schema_extra={"uniqueItems": True})
]
# Beside a type: the key may be left out and then stays out, but is never null.
Absent = SkipJsonSchema[None]

Text = Annotated[str, Field(min_length=1)]
Line = Annotated[str, matching(r"^[^\u0000-\u001f\u007f]+$", "text of one line")]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A share that is never whole, as of a moving average.
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
LearningRate = PositiveFraction

# Keys of training that say the same wherever they stand.
Batch = Annotated[Count, Field(description="Images per training step.")]
AdamWRate = Annotated[LearningRate, Field(description="Learning rate of AdamW.")]
AdamWDecay = Annotated[Fraction, Field(description="Weight decay of AdamW.")]
Evaluations = Annotated[
    Count,
    Field(
        description=(
            "Evaluations on the test set, evenly spread; the best is reported beside the last."
        )
    ),
]
