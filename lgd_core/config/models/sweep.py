"""Keys of a sweep: files in config/ablations."""

from typing import Annotated, Self

from pydantic import Field, Strict, model_validator

from lgd_core.config.models.base import (
    Absent,
    Config,
    Count,
    DisagreementError,
    Distinct,
    Text,
    matching,
)

Values = Distinct[int | float | str | None]
Amounts = Annotated[Distinct[Count], Field(min_length=1)]


class SweptDatasetConfig(Config):
    """What suits a data set; what is left out is that of the sweep."""

    values: Values | Absent = None
    methods: Distinct[str] | Absent = None
    ipc: Amounts | Absent = None
    students: Distinct[str] | Absent = None
    with_: dict[str, object] | Absent = Field(
        default=None,
        alias="with",
        description="Dotted keys that every variant sets as well on this data set.",
    )


class ResolvedSweep(Config):
    """What a sweep compares on a data set; see Recipes.sweep."""

    title: str
    base: str
    key: str
    ipc: list[int]
    redundancy: bool
    learner: bool
    paper: list[str]
    students: list[str]
    # A job reads lists where a rule has tuples.
    variants: list[Annotated[tuple[int | float | str | None, str], Strict(False)]]


class SweepConfig(Config):
    """A family of methods that are compared in one table and figure: one key of a method swept over
    some values, or methods that exist.
    """

    title: Text = Field(description="Title of the figure.")
    base: str = Field(
        description="Method that variants start from, and that all of them are compared with."
    )
    key: str = Field(
        default="",
        description=(
            "Dotted key of the method that is swept; empty where methods are compared as they are."
        ),
    )
    symbol: Annotated[
        str, matching("^([A-Za-z][A-Za-z_]*)?$", "letters and _, the first a letter")
    ] = Field(
        default="",
        description=(
            "What stands between the base's name and the value in the name of a variant, as kappa "
            "in lgd_kappa10; given with a key."
        ),
    )
    with_: dict[str, object] = Field(
        default={},
        alias="with",
        description="Dotted keys of the method that every variant sets as well, to their values.",
    )
    values: Values = Field(default=[], description="Values of the key, in the order of the figure.")
    methods: Distinct[str] = Field(
        default=[],
        description="Methods to compare, the base among them, instead of a key and its values.",
    )
    ipc: Amounts = Field(description="Images per class at which variants are evaluated.")
    students: Distinct[str] = Field(
        default=[],
        description=(
            "Architectures that judge; empty means the students of the run or the data set."
        ),
    )
    redundancy: bool = Field(
        default=False,
        description="Whether the mean off-diagonal cross-increment accuracy is measured too.",
    )
    learner: bool = Field(
        default=False,
        description=(
            "Whether the learner's own accuracy after each increment is given too, as protocol "
            "incremental."
        ),
    )
    paper: Distinct[str] = Field(
        default=[],
        description=(
            "Tables of config/paper whose numbers stand beside ours; the first that has one counts."
        ),
    )
    datasets: dict[str, SweptDatasetConfig] = Field(
        default={},
        description=(
            "Data set name to the values, methods, images per class, students or further keys that "
            "suit it."
        ),
    )

    @model_validator(mode="after")
    def _sweeps_a_key_or_lists_methods(self) -> Self:
        layers = (self, *self.datasets.values())
        listed = [layer.methods for layer in layers if layer.methods]
        swept = any(layer.values for layer in layers)
        sweeps = {bool(self.key), bool(self.symbol), swept, not listed}
        if len(sweeps) > 1 or (listed and any(layer.with_ for layer in layers)):
            raise DisagreementError("", "expected either key, symbol and values, or methods alone")
        for methods in listed:
            if self.base not in methods:
                raise DisagreementError("methods", f"expected the base '{self.base}' among them")
        return self

    @model_validator(mode="after")
    def _leaves_alone_what_every_variant_has_of_its_own(self) -> Self:
        swept = self.datasets.items()
        further = {f"datasets.{name}.with": layer.with_ or {} for name, layer in swept}
        for where, keys in ({"key": [self.key], "with": self.with_} | further).items():
            for own in ("extends", "description"):
                if own in keys:
                    message = f"found {own}, expected another key: every variant has its own"
                    raise DisagreementError(where, message)
        return self
