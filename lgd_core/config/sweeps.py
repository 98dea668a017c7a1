"""Families of methods, config/ablations: one key swept over values, or methods that exist."""

import re
from functools import cache, reduce
from typing import TYPE_CHECKING

from lgd_core.base.errors import UserError
from lgd_core.config.schema import merge, suggest

if TYPE_CHECKING:
    from lgd_core.config.recipes import Recipes

Value = float | str


class Families:
    """The families of a configuration and the methods that follow from them.

    A variant, such as ``lgd_kappa10``, is a method like one with a file that extends the base and
    sets the key. Where its recipe on a data set is that of another method, it *is* that method.
    Raises UserError, one line, for anything wrong with a family.
    """

    def __init__(self, recipes: "Recipes", families: dict[str, dict]) -> None:
        self.recipes = recipes
        self.families = families
        self.derived: dict[str, dict] = {}
        self.origin: dict[str, str] = {}
        for name, family in self.families.items():
            self._derive(name, family)
        self.same_as = cache(self._same_as)

    def check(self) -> None:
        """Raise UserError unless all methods, data sets and tables that families name exist."""
        tables = sorted(path.stem for path in (self.recipes.folder / "paper").glob("*.csv"))
        for name, family in self.families.items():
            layers = [family, *family["datasets"].values()]
            methods = [method for layer in layers for method in layer.get("methods", ())]
            for kind, used, known in (
                ("method", [family["base"], *methods], self.recipes.names("method")),
                ("dataset", family["datasets"], self.recipes.names("dataset")),
                ("table of config/paper", family["paper"], tables),
            ):
                for item in used:
                    if item not in known:
                        hint = suggest(item, known)
                        raise UserError(f"{self._where(name)}: unknown {kind} '{item}'{hint}")

    def on(self, dataset: str, name: str) -> dict:
        """Return what a family compares on a data set, everything about it checked.

        ``variants`` holds (value, method) in order. The base comes last, without a value, where no
        variant is the base there.
        """
        family, where = self.families[name], self._where(name)
        # The run has the last word, as with all recipes.
        changes = self.recipes.config["overrides"]["ablations"].get(name) or {}
        family = family | family["datasets"].get(dataset, {}) | changes
        if not family["values"] and not family["methods"]:
            raise UserError(f"{where}: no values, expected some for data set '{dataset}'")
        students = family["students"] or self.recipes.students(dataset)
        for student in students:
            self.recipes.check_input(student, dataset, f"{where}: students")
        variants = self._variants(dataset, family)
        for _, method in variants:
            for ipc in family["ipc"]:
                self.recipes.increments(dataset, method, ipc)
        kept = ("title", "base", "key", "ipc", "redundancy", "learner", "paper")
        return {key: family[key] for key in kept} | {"students": students, "variants": variants}

    def _variants(self, dataset: str, family: dict) -> list[tuple[Value | None, str]]:
        if family["methods"]:
            return [(method, method) for method in family["methods"]]
        base = family["base"]
        variants = [
            (value, self.same_as(dataset, variant_name(family, value)))
            for value in family["values"]
        ]
        return variants if base in dict(variants).values() else [*variants, (None, base)]

    def _same_as(self, dataset: str, method: str) -> str:
        """Return which method a variant is on a data set: its base, one with a file, or itself."""
        if method not in self.derived:
            return method
        own = _undescribed(self.recipes.content(dataset, method))
        others = [self.derived[method]["extends"], *self.recipes.files("method")]
        same = (m for m in others if _undescribed(self.recipes.content(dataset, m)) == own)
        return next(same, method)

    def _derive(self, name: str, family: dict) -> None:
        where = self._where(name)
        layers = [family, *family["datasets"].values()]
        swept = [value for layer in layers for value in layer.get("values", ())]
        listed = [layer["methods"] for layer in layers if layer.get("methods")]
        sweeps = {bool(family["key"]), bool(family["symbol"]), bool(swept), not listed}
        if len(sweeps) > 1 or (listed and family["with"]):
            raise UserError(f"{where}: expected either key, symbol and values, or methods alone")
        for methods in listed:
            if family["base"] not in methods:
                raise UserError(
                    f"{where}: methods: expected the base '{family['base']}' among them"
                )
        for value in swept:
            self._add(variant_name(family, value), derive(family, value), where)

    def _add(self, method: str, recipe: dict, where: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", method):
            raise UserError(
                f"{where}: values: '{method}' would be a method's name, expected letters, digits "
                "and _ . + - only"
            )
        if method in self.recipes.files("method"):
            raise UserError(f"{where}: '{method}' is a method with a file, expected another symbol")
        if self.derived.get(method, recipe) != recipe:
            raise UserError(
                f"{where}: '{method}' comes from {self.origin[method]} too, with other keys"
            )
        self.derived[method] = recipe
        self.origin.setdefault(method, where)

    def _where(self, name: str) -> str:
        return str(self.recipes.folder / "ablations" / f"{name}.yaml")


def variant_name(family: dict, value: Value) -> str:
    """Return the name of the method that has a value: base, symbol, value."""
    text = value if isinstance(value, str) else f"{value:g}"
    return f"{family['base']}_{family['symbol']}{text}"


def derive(family: dict, value: Value) -> dict:
    """Return the recipe of a variant as a file of its name would hold it."""
    keys = family["with"] | {family["key"]: value}
    recipe = reduce(merge, (_nested(key.split("."), new) for key, new in keys.items()))
    shown = f"{value:g}" if isinstance(value, float | int) else value
    return recipe | {
        "extends": family["base"],
        "description": f"{family['base']}, {family['key']} {shown}",
    }


def _nested(path: list[str], value: object) -> dict:
    return {path[0]: _nested(path[1:], value) if path[1:] else value}


def _undescribed(recipe: dict) -> dict:
    return {key: value for key, value in recipe.items() if key != "description"}
