"""Sweeps, config/ablations: one key of a method over some values, or methods that exist.

A variant, such as ``lgd_kappa10``, is a method like one with a file that extends the base and sets
the key.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from lgd_core.base.errors import UserError
from lgd_core.config.models.sweep import SweepConfig, SweptDatasetConfig
from lgd_core.config.plain import Keys
from lgd_core.config.schema import merge

Value = int | float | str | None


@dataclass(frozen=True)
class Variant:
    """The recipe of a variant, as a file of its name would hold it, and the sweep's file.

    ``on`` has what is laid over the recipe on some data sets.
    """

    recipe: Keys
    on: dict[str, Keys]
    origin: str


def derive_variants(
    sweeps: dict[str, SweepConfig], methods: Sequence[str], where: Callable[[str], str]
) -> dict[str, Variant]:
    """Return the methods that follow from sweeps, by name; ``methods`` are those with a file.

    ``where`` tells a sweep's file from its name. Raises UserError for a variant that has the name
    of another method.
    """
    variants: dict[str, Variant] = {}
    for name, sweep in sweeps.items():
        origin = where(name)
        for value in _swept(sweep):
            method = variant_name(sweep, value)
            variant = Variant(derive(sweep, value), further_keys(sweep), origin)
            _check_name(method, variant, methods, variants.get(method))
            variants.setdefault(method, variant)
    return variants


def _layers(sweep: SweepConfig) -> list[SweepConfig | SweptDatasetConfig]:
    return [sweep, *sweep.datasets.values()]


def _swept(sweep: SweepConfig) -> list[Value]:
    return [value for layer in _layers(sweep) for value in layer.values or ()]


def listed_methods(sweep: SweepConfig) -> list[str]:
    """Return the methods that a sweep compares as they are, on any data set."""
    return [method for layer in _layers(sweep) for method in layer.methods or ()]


def _check_name(
    method: str, variant: Variant, methods: Sequence[str], known: Variant | None
) -> None:
    """Raise UserError unless a variant's name can be that of a method, and of no other one."""
    where = variant.origin
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", method):
        raise UserError(
            f"{where}: values: '{method}' would be a method's name, expected letters, digits "
            "and _ . + - only"
        )
    if method in methods:
        raise UserError(f"{where}: '{method}' is a method with a file, expected another symbol")
    if known and (known.recipe, known.on) != (variant.recipe, variant.on):
        raise UserError(f"{where}: '{method}' comes from {known.origin} too, with other keys")


def variant_name(sweep: SweepConfig, value: Value) -> str:
    """Return the name of the method that has a value: base, symbol, value."""
    return f"{sweep.base}_{sweep.symbol}{_shown(value)}"


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float | int) else value or "none"


def derive(sweep: SweepConfig, value: Value) -> Keys:
    """Return the recipe of a variant as a file of its name would hold it."""
    recipe = _recipe(sweep.with_ | {sweep.key: value})
    return recipe | {
        "extends": sweep.base,
        "description": f"{sweep.base}, {sweep.key} {_shown(value)}",
    }


def further_keys(sweep: SweepConfig) -> dict[str, Keys]:
    """Return what the variants of a sweep set as well on some data sets, by their names."""
    return {name: _recipe(own.with_) for name, own in sweep.datasets.items() if own.with_}


def _recipe(keys: Mapping[str, object]) -> Keys:
    """Return dotted keys as a recipe has them."""
    return reduce(merge, (_nested(key.split("."), value) for key, value in keys.items()))


def _nested(path: list[str], value: object) -> Keys:
    return {path[0]: _nested(path[1:], value) if path[1:] else value}
