"""Recipe files as they lie under ``config/``: found, read, checked by their models, layered."""

import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache, reduce
from pathlib import Path

from lgd_core.base.errors import UserError
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.models.base import Config, validated
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.models.protocol import ProtocolConfig
from lgd_core.config.models.run import RunConfig
from lgd_core.config.models.sweep import SweepConfig
from lgd_core.config.plain import Keys, Schema
from lgd_core.config.schema import check, fill_defaults, load_yaml, merge, schema_of, suggest
from lgd_core.config.sweeps import Variant, derive_variants, listed_methods
from lgd_core.config.words import typed

KINDS = ("dataset", "method", "protocol", "ablation")
MODELS: dict[str, type[Config]] = {
    "config": RunConfig,
    "dataset": DatasetConfig,
    "method": CompleteMethod,
    "protocol": ProtocolConfig,
    "ablation": SweepConfig,
}
# Names stand in paths of results, which Snakemake matches by patterns.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Folders beside those of data sets and of methods.
RESERVED_NAMES: dict[str, tuple[str, ...]] = {
    "dataset": ("logs", "benchmarks"),
    "method": ("ablation", "data", "prior", "reference", "influence"),
    # Names of learners' own accuracies and of the reference's in tables.
    "protocol": ("incremental", "reference"),
    "ablation": (),
}
# Keys that a data set does not get from the one it extends: they are about that one alone.
NOT_INHERITED = ("extends", "description", "licence")
# Keys that it gets whole or not at all. Those of one kind of source mean nothing to another, and
# the files of one prior do not fit another.
INHERITED_WHOLE = ("source", "prior")


def read_run(files: Sequence[str | Path]) -> Keys:
    """Return the configuration of a run: its files, each laid over those before it."""
    return reduce(merge, map(load_yaml, map(Path, files)), {})


class Catalogue:
    """All recipe files under one folder, and the run's own configuration laid over them.

    ``words`` is what ``--config`` says; it is laid over ``config`` in the types of its keys.
    Recipes that the folder lacks are those of ``shipped``, a folder of the same form.
    What has been read is checked key by key only, but for the run and the sweeps: whether the keys
    of data sets and methods agree, Recipes finds out.
    Raises UserError, one line that names the file or key, for anything wrong with any of it.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Keys,
        words: Keys | None = None,
        shipped: str | Path | None = None,
    ) -> None:
        self.folders = [Path(place) for place in (folder, shipped) if place is not None]
        self.schemas: dict[str, Schema] = {name: schema_of(model) for name, model in MODELS.items()}
        config = merge(config, typed(words or {}, self._whole_schema()))
        check(config, self.schemas["config"], "config")
        self.config = fill_defaults(config, self.schemas["config"])
        self.read, self.files = cache(load_yaml), cache(self._files)
        self.lineage = cache(self._lineage)
        self.run = validated(RunConfig, self.config, "config")
        self.variants: dict[str, Variant] = {}
        self.sweeps = {name: self._sweep(name) for name in self.files("ablation")}
        self.sets: dict[str, Keys] = {}
        self.variants = derive_variants(
            self.sweeps, self.files("method"), lambda name: str(self.path("ablation", name))
        )

    def _whole_schema(self) -> Schema:
        """Return the schema of a run with those of the recipes where a run may change them."""
        whole, dataset = deepcopy(self.schemas["config"]), deepcopy(self.schemas["dataset"])
        dataset["properties"]["recipes"]["additionalProperties"] = self.schemas["method"]
        dataset["properties"]["protocols"]["additionalProperties"] = self.schemas["protocol"]
        overrides = whole["properties"]["overrides"]["properties"]
        schemas = self.schemas | {"dataset": dataset}
        for kind in KINDS:
            overrides[f"{kind}s"]["additionalProperties"] = schemas[kind]
        return whole

    def _files(self, kind: str) -> list[str]:
        """Return the names of all recipe files of a kind: one of KINDS."""
        paths = self._found(f"{kind}s/*.yaml")
        for path in paths.values():
            if not NAME.fullmatch(path.stem):
                raise UserError(
                    f"{path}: found a file name that cannot be part of results' names, expected "
                    "letters, digits and _ . + - only, the first a letter or digit"
                )
            if path.stem in RESERVED_NAMES[kind]:
                raise UserError(f"{path}: the name is reserved, expected another file name")
        return list(paths)

    def _found(self, pattern: str) -> dict[str, Path]:
        """Return the files that match a pattern, by their names; those of the first folder win."""
        places = reversed(self.folders)
        paths = {path.stem: path for place in places for path in place.glob(pattern)}
        return dict(sorted(paths.items()))

    def table(self, name: str) -> Path:
        """Return the file of one of the paper's tables."""
        return self._found("paper/*.csv")[name]

    def names(self, kind: str) -> list[str]:
        """Return the names of all recipes: of files; for methods also of variants and of sets."""
        derived = (*self.variants, *self.sets) if kind == "method" else ()
        return sorted([*self.files(kind), *derived])

    def add_sets(self, recipes: dict[str, Keys]) -> None:
        """Add the methods that stand for sets from elsewhere, by name."""
        self.sets = recipes

    def layer(self, kind: str, name: str, changes: Keys, where: str) -> Keys:
        """Check keys that are laid over a recipe, which must exist; return them.

        What a recipe extends is read before anything is laid over it, so it is refused here.
        """
        self._checked(kind, name, changes, where)
        if "extends" in changes:
            raise UserError(
                f"{where}.extends: found '{changes['extends']}', expected it in the file alone, "
                f"{self.path(kind, name)}"
            )
        return changes

    def _checked(self, kind: str, name: str, keys: Keys, where: str) -> Keys:
        self.check_known(kind, name, where)
        check(keys, self.schemas[kind], where, partial=True)
        return keys

    def check_known(self, kind: str, name: str, asked_by: str) -> None:
        """Raise UserError unless there is a recipe of that name; ``asked_by`` names the key."""
        if name not in (known := self.names(kind)):
            raise UserError(
                f"{asked_by}: unknown {kind} '{name}' (no file {self.path(kind, name)})"
                f"{suggest(name, known)}"
            )

    def path(self, kind: str, name: str) -> Path:
        """Return where the file of a recipe lies, or would lie."""
        places = [folder / f"{kind}s" / f"{name}.yaml" for folder in self.folders]
        return next((path for path in places if path.exists()), places[0])

    def file(self, kind: str, name: str, asked_by: str) -> Keys:
        """Return the keys of a recipe's own file, or of a variant that a sweep makes."""
        if kind == "method" and name in self.variants:
            keys, where = self.variants[name].recipe, self.variants[name].origin
        elif kind == "method" and name in self.sets:
            keys, where = self.sets[name], f"config: {name.replace(':', '.')}"
        else:
            self.check_known(kind, name, asked_by)
            path = self.path(kind, name)
            keys, where = self.read(path), str(path)
        return self._checked(kind, name, keys, where)

    def _lineage(self, kind: str, name: str) -> dict[str, Keys]:
        """Return the keys of a recipe's file and of all that it extends, by name, its own first.

        Raises UserError for a recipe that extends an unknown one or, in the end, itself.
        """
        found: dict[str, Keys] = {}
        extending, asked_by = name, f"{kind}s"
        while extending not in found:
            found[extending] = self.file(kind, extending, asked_by)
            if "extends" not in found[extending]:
                return found
            asked_by = f"{self.path(kind, extending)}: extends"
            extending = found[extending]["extends"]
        raise UserError(f"{asked_by}: cycle {' -> '.join((*found, extending))}")

    def dataset(self, name: str) -> Keys:
        """Return the keys of a data set's file, laid over those of the data sets it extends.

        Raises UserError as ``lineage`` does.
        """
        keys: Keys = {}
        for own in reversed(self.lineage("dataset", name).values()):
            dropped = {*NOT_INHERITED, *(key for key in INHERITED_WHOLE if key in own)}
            keys = merge({key: keys[key] for key in keys if key not in dropped}, own)
        keys.pop("extends", None)
        return keys

    def further_keys(self, dataset: str, name: str) -> Keys:
        """Return what the sweep of a variant lays over it on a data set; nothing for others."""
        keys: Keys = {}
        if (variant := self.variants.get(name)) is None:
            return keys
        for base in reversed(self.lineage("dataset", dataset)):
            if base in variant.on:
                where = f"{variant.origin}: datasets.{base}.with"
                keys = merge(keys, self.layer("method", name, variant.on[base], where))
        return keys

    def _sweep(self, name: str) -> SweepConfig:
        recipe = self.file("ablation", name, "ablations")
        recipe, where = merge(recipe, self.overrides("ablation", name)), self.path("ablation", name)
        check(recipe, self.schemas["ablation"], str(where))
        return validated(SweepConfig, fill_defaults(recipe, self.schemas["ablation"]), str(where))

    def overrides(self, kind: str, name: str) -> Keys:
        """Return what the run lays over a recipe."""
        return self.config["overrides"][f"{kind}s"].get(name) or {}

    def check_files(self) -> None:
        """Raise UserError unless every file, override and variant keeps to its schema."""
        for kind in KINDS:
            for name in self.config["overrides"][f"{kind}s"]:
                changes = self.overrides(kind, name)
                self.layer(kind, name, changes, f"config: overrides.{kind}s.{name}")
            for name in self.files(kind):
                self.file(kind, name, kind)
        for name, variant in self.variants.items():
            self.file("method", name, variant.origin)
            for dataset in variant.on:
                self.further_keys(dataset, name)

    def check_sweeps(self) -> None:
        """Raise UserError unless all methods, data sets and tables that sweeps name exist."""
        tables = list(self._found("paper/*.csv"))
        for name, sweep in self.sweeps.items():
            for kind, used, known in (
                ("method", [sweep.base, *listed_methods(sweep)], self.names("method")),
                ("dataset", sweep.datasets, self.names("dataset")),
                ("table of config/paper", sweep.paper, tables),
            ):
                for item in used:
                    if item not in known:
                        where = self.path("ablation", name)
                        raise UserError(f"{where}: unknown {kind} '{item}'{suggest(item, known)}")
