"""The run, the data sets and the methods: read, checked and resolved before any job starts."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache, reduce
from operator import getitem
from pathlib import Path

from lgd_core.base.errors import UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.listings import Listing
from lgd_core.config.architectures import parse_architecture
from lgd_core.config.catalogue import Catalogue
from lgd_core.config.checks import check_method
from lgd_core.config.classes import prior_labels, read_classes
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.external import ExternalSet, external_methods, resolve_external
from lgd_core.config.kinds import image_sources
from lgd_core.config.methods import (
    SEED_SOURCES,
    check_formation,
    images_per_increment,
    prior_owner,
)
from lgd_core.config.models.base import DisagreementError, validated
from lgd_core.config.models.dataset import DatasetConfig, SourceConfig
from lgd_core.config.models.external import ElsewhereConfig
from lgd_core.config.models.method import FinetuneConfig, MethodConfig
from lgd_core.config.models.protocol import LabelsConfig, ProtocolConfig
from lgd_core.config.models.sweep import ResolvedSweep, SweepConfig
from lgd_core.config.plain import Keys
from lgd_core.config.prior_files import check_prior, check_small_source
from lgd_core.config.schema import check, fill_defaults, merge, suggest
from lgd_core.config.settings import StudentSettings
from lgd_core.config.sources import list_source, source_folder, watch_source
from lgd_core.config.stages import learner_lesson, protocol_on, source_settings, student_settings
from lgd_core.config.sweeps import Value, variant_name

# Keys of a data set that may be paths.
DATASET_PATHS = ("prior.source", "prior.vae", "prior.small_decoder.source", "source.folder")


class Recipes:
    """All configuration under one folder, with the run's own config laid over it, resolved.

    ``home`` is the folder of the project that these recipes are used from elsewhere: what is named
    and not found here is then its own. Other arguments are those of Catalogue, whose checks come
    first. Whether keys agree is checked at
    once for the data sets and methods of the run; for those of a target outside it when they are
    asked for. Raises UserError, one line that names the file or key, for anything wrong.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Keys,
        words: Keys | None = None,
        home: Path | None = None,
    ) -> None:
        self.home = home
        self.catalogue = Catalogue(folder, config, words, home and home / "config")
        self.run, self.config = self.catalogue.run, self.catalogue.config
        self.names = self.catalogue.names
        self.dataset = cache(self._dataset)
        self.resolved = cache(self._method)
        self.content, self.unchecked = cache(self._content), cache(self._unchecked)
        self.same_as, self.protocol = cache(self._same_as), cache(self._protocol)
        if self.run.methods == "all":
            self._take_all_methods()
        self.external = resolve_external(self.run, self.names("dataset"), self.names("method"))
        self.catalogue.add_sets(external_methods(self.external))
        self._check_all()

    def _take_all_methods(self) -> None:
        """Replace ``all`` by the methods that fit every data set of the run."""
        files = self.catalogue.files("method")
        methods = [name for name in files if all(self._fits(d, name) for d in self.run.datasets)]
        self.run, self.config["methods"] = self.run.model_copy(update={"methods": methods}), methods

    def _fits(self, dataset: str, name: str) -> bool:
        method = self.unchecked(dataset, name)
        try:
            image_sources()[method.source].check(method, self.dataset(dataset))
        except DisagreementError:
            return False
        return True

    def method(self, dataset: str, name: str) -> MethodConfig:
        """Return the recipe of a method on a data set; raises UserError for another's double."""
        same = self.same_as(dataset, name)
        if same != name:
            raise UserError(
                f"methods: '{name}' on data set '{dataset}' is '{same}', expected that name"
            )
        return self.resolved(dataset, name)

    def students(self, dataset: str) -> list[str]:
        """Return the architectures that judge distilled sets of a data set."""
        return self.run.students or self.dataset(dataset).evaluation.students

    def protocols(self, dataset: str) -> list[str]:
        """Return the protocols by which sets of a data set are evaluated."""
        return self.run.protocols or self.dataset(dataset).evaluation.protocols

    def scored_by(self, dataset: str) -> tuple[str, str]:
        """Return the protocol and the student by which sets of a data set are scored."""
        keys = self.run.scores
        protocol = keys.protocol or self.protocols(dataset)[0]
        return protocol, keys.student or self.students(dataset)[0]

    def lesson(self, dataset: str, protocol: str, student: str, ipc: int) -> StudentSettings:
        """Return how a student learns a set of ``ipc`` images per class by a protocol.

        Raises UserError where the protocol has no batch for that many.
        """
        where = f"protocol '{protocol}' on data set '{dataset}'"
        return student_settings(self.protocol(dataset, protocol, student), ipc, where)

    def exported_labels(self, dataset: str) -> LabelsConfig | None:
        """Return what the run's ``export.labels`` says of labels; None where it names no protocol.

        Raises UserError unless the protocol stores one label per image.
        """
        name = self.run.export.labels
        if name is None:
            return None
        where = "config: export.labels"
        self.catalogue.check_known("protocol", name, where)
        labels = self.labelling(dataset, name).labels
        if labels.source != "stored" or labels.regions != 1:
            raise UserError(
                f"{where}: found protocol '{name}' with labels.source {labels.source} and "
                f"labels.regions {labels.regions}, expected stored and 1"
            )
        return labels

    def draws_from_prior(self, dataset: str, name: str) -> bool:
        """Whether images of a method are drawn from the data set's prior, or passed through it."""
        method = self.method(dataset, name)
        if method.source == "prior" or method.through_autoencoder:
            return True
        source = method.seed.source
        shared = source not in SEED_SOURCES and self.draws_from_prior(dataset, source)
        return source == "prior" or shared

    def origins(self, dataset: str, name: str) -> dict[str, MethodConfig]:
        """Return a method and those that its images come from: its seed's, its prior's, theirs.

        Raises UserError as ``method`` does.
        """
        method = self.method(dataset, name)
        owners = {method.seed.source, prior_owner(method, name) or name}
        found = {name: method}
        for other in sorted(owners - {name, *SEED_SOURCES}):
            found |= self.origins(dataset, other)
        return found

    def learner_protocol(self, dataset: str, method: str) -> ProtocolConfig | None:
        """Return the protocol that a method's learner trains by; None for one to the plateau."""
        learner = self.method(dataset, method).learner
        if learner.protocol is None:
            return None
        return self.protocol(dataset, learner.protocol, learner.architecture)

    def learner_lesson(self, dataset: str, method: str, increment: int) -> StudentSettings | None:
        """Return how a method's learner trains on increments 0 to ``increment`` by its protocol.

        None for a learner that trains to the plateau.
        """
        protocol = self.learner_protocol(dataset, method)
        if protocol is None:
            return None
        ipc = (increment + 1) * images_per_increment(self.method(dataset, method))
        return learner_lesson(protocol, ipc)

    def labelling(self, dataset: str, protocol: str) -> ProtocolConfig:
        """Return a protocol for what is the same for all students: its labels."""
        return self.protocol(dataset, protocol, "")

    def external_set(self, name: str) -> ExternalSet:
        """Return a folder that the run names, by its name."""
        if name not in self.external:
            known = suggest(name, list(self.external)) if self.external else ", found no names"
            raise UserError(f"config: external: unknown name '{name}'{known}")
        return self.external[name]

    def source_of(self, dataset: str) -> SourceConfig:
        """Return where a data set's images come from, with the folder, which need not be there."""
        source = self.dataset(dataset).source
        return source.model_copy(update={"folder": source_folder(source, self._where(dataset))})

    def list_source(self, dataset: str) -> Listing | None:
        """Return the files of a data set's images, all of them checked: see sources.list_source."""
        return list_source(source_settings(self.dataset(dataset)), self._where(dataset))

    def watch_source(self, dataset: str) -> dict[str, int]:
        """Return times by which new and missing files are noticed: see sources.watch_source."""
        return watch_source(source_settings(self.dataset(dataset)), self._where(dataset))

    def _where(self, dataset: str) -> str:
        return str(self.catalogue.path("dataset", dataset))

    def shards(self, dataset: str) -> int:
        """Return the number of jobs that share the classes of a data set's increment.

        Raises UserError if it has fewer classes. Other data sets of the run may have fewer.
        """
        shards, classes = self.run.shards, len(self.dataset(dataset).classes)
        if shards > classes:
            raise UserError(
                f"shards: found {shards}, expected at most {classes}, the number of classes of "
                f"data set '{dataset}'"
            )
        return shards

    def increments(self, dataset: str, method: str, ipc: int) -> int:
        """Return the number of increments K that make ``ipc`` images per class."""
        size = self.method(dataset, method).ipc_per_increment
        if ipc < size or ipc % size:
            raise UserError(
                f"ipc: found {ipc}, expected a multiple of {size}, "
                f"the ipc_per_increment of method '{method}'"
            )
        return ipc // size

    def _check_all(self) -> None:
        self.catalogue.check_files()
        for dataset in self.run.datasets:
            self.check_prior(dataset)
            self._check_students(dataset)
            for method in self.run.methods:
                for ipc in self.run.ipc:
                    self._check_lessons(dataset, method, self.increments(dataset, method, ipc))
        for dataset in {entry.dataset for entry in self.external.values()}:
            self._check_students(dataset)
        self.catalogue.check_sweeps()

    def _check_lessons(self, dataset: str, method: str, increments: int) -> None:
        ipc = increments * images_per_increment(self.method(dataset, method))
        for protocol in self.protocols(dataset):
            for student in self.students(dataset):
                self.lesson(dataset, protocol, student, ipc)

    def _check_students(self, dataset: str) -> None:
        of_run = self.run.students
        file = self.catalogue.path("dataset", dataset)
        where = "config: students" if of_run else f"{file}: evaluation.students"
        for student in self.students(dataset):
            self.check_input(student, dataset, where)
        where = "config: protocols" if self.run.protocols else f"{file}: evaluation.protocols"
        for protocol in self.protocols(dataset):
            self.catalogue.check_known("protocol", protocol, where)
            for student in self.students(dataset):
                self.protocol(dataset, protocol, student)
        protocol, student = self.scored_by(dataset)
        self.check_input(student, dataset, "config: scores.student")
        self.catalogue.check_known("protocol", protocol, "config: scores.protocol")
        self.protocol(dataset, protocol, student)

    def _dataset(self, name: str) -> DatasetConfig:
        where = self._where(name)
        keys = merge(self.catalogue.dataset(name), self.catalogue.overrides("dataset", name))
        if isinstance(keys.get("classes"), str):
            keys["classes"] = read_classes(or_at_home(keys["classes"], self.home), where)
        check(keys, self.catalogue.schemas["dataset"], where)
        keys = fill_defaults(keys, self.catalogue.schemas["dataset"])
        expand_paths(keys, DATASET_PATHS, where, self.home)
        dataset = validated(DatasetConfig, keys, where)
        prior = dataset.prior.model_copy(update={"labels": prior_labels(dataset, where)})
        dataset = dataset.model_copy(update={"prior": prior})
        for kind, key, layers in (
            ("method", "recipes", dataset.recipes),
            ("protocol", "protocols", dataset.protocols),
        ):
            for layered, changes in layers.items():
                self.catalogue.layer(kind, layered, changes, f"{where}: {key}.{layered}")
        for key, part in (
            ("reference", dataset.reference),
            ("redundancy", dataset.redundancy),
            ("influence.surrogate", dataset.influence.surrogate),
        ):
            self._check_input(part.architecture, name, dataset, f"{where}: {key}.architecture")
        return dataset

    def check_input(self, name: str, dataset: str, key: str) -> None:
        """Raise UserError unless the architecture exists and takes the data set's images."""
        self._check_input(name, dataset, self.dataset(dataset), key)

    def _check_input(self, name: str, dataset: str, keys: DatasetConfig, key: str) -> None:
        size = keys.image.train_size or keys.image.size
        smallest = parse_architecture(name, key).smallest_input
        if size < smallest:
            raise UserError(
                f"{key}: '{name}' takes images of at least {smallest} pixels, "
                f"but data set '{dataset}' has {size}"
            )

    def _protocol(self, dataset: str, name: str, student: str) -> ProtocolConfig:
        """Return a protocol as it is for a student on a data set.

        The file comes first, then what the data set and the run change; what it has for the
        student comes last.
        """
        schema = self.catalogue.schemas["protocol"]
        recipe = self.catalogue.file("protocol", name, "protocols")
        for changes in (
            self.dataset(dataset).protocols.get(name),
            self.catalogue.overrides("protocol", name),
        ):
            recipe = merge(recipe, changes or {})
        own = recipe.pop("students", {})
        where = str(self.catalogue.path("protocol", name))
        for known, changes in own.items():
            parse_architecture(known, f"{where}: students")
            if "labels" in changes:
                raise UserError(f"{where}: students.{known}.labels: expected the same for all")
            self.catalogue.layer("protocol", name, changes, f"{where}: students.{known}")
        recipe = fill_defaults(merge(recipe, own.get(student, {})), schema)
        protocol = validated(ProtocolConfig, recipe, f"protocol '{name}' on data set '{dataset}'")
        return protocol_on(protocol, self.dataset(dataset))

    def _content(self, dataset: str, name: str) -> Keys:
        """Return the keys of a method on a data set, complete but not checked against each other.

        They stand in the schema's order, whatever the files' is.
        """
        recipe = fill_defaults(self._layers(dataset, name), self.catalogue.schemas["method"])
        keys = self.catalogue.schemas["method"]["properties"]
        return {key: recipe[key] for key in keys if key in recipe and key != "extends"}

    def _method(self, dataset: str, name: str) -> MethodConfig:
        where, keys = f"method '{name}' on data set '{dataset}'", self.content(dataset, name)
        keys = deepcopy(keys)
        expand_paths(keys, ("seed.folder",), where, self.home)
        method = validated(CompleteMethod, keys, where)
        check_method(method, self.dataset(dataset), where)
        self._check_set(method, dataset, where)
        self._check_seed(method, dataset, name, where)
        if owner := prior_owner(method, name):
            self.finetune(dataset, owner, where)
        self.check_input(method.learner.architecture, dataset, f"{where}: learner.architecture")
        if method.learner.protocol is not None:
            self._check_learner_protocol(method.learner.protocol, method, dataset, where)
        for key, architecture in image_sources()[method.source].architectures(method).items():
            self.check_input(architecture, dataset, f"{where}: {key}")
        return method

    def _check_set(self, method: MethodConfig, dataset: str, where: str) -> None:
        """Raise UserError unless the set of a method from elsewhere is one of the data set."""
        if method.source != "external":
            return
        entry = self.external_set(method.section(ElsewhereConfig).set or "")
        if entry.dataset != dataset:
            raise UserError(
                f"{where}: found a set of data set '{entry.dataset}', expected one of '{dataset}'"
            )

    def _check_learner_protocol(
        self, name: str, method: MethodConfig, dataset: str, where: str
    ) -> None:
        self.catalogue.check_known("protocol", name, f"{where}: learner.protocol")
        self.protocol(dataset, name, method.learner.architecture)

    def _check_seed(self, method: MethodConfig, dataset: str, name: str, where: str) -> None:
        source, size = method.seed.source, self.dataset(dataset).image.size
        if source in SEED_SOURCES:
            check_formation(method, method if source == "own" else None, size, where)
            return
        other = self._seed_owner(dataset, source, (name,))
        check_formation(method, other, size, where)
        if other.ipc_per_increment != method.ipc_per_increment:
            raise UserError(
                f"{where}: seed.source: method '{source}' has ipc_per_increment "
                f"{other.ipc_per_increment}, expected {method.ipc_per_increment}"
            )

    def finetune(self, dataset: str, name: str, asked_by: str = "finetune_prior") -> FinetuneConfig:
        """Return how a method tunes the data set's prior; raises UserError where it does not."""
        if name not in (known := self.names("method")):
            raise UserError(f"{asked_by}: prior: unknown method '{name}'{suggest(name, known)}")
        finetune = self.unchecked(dataset, name).finetune
        if finetune is None:
            raise UserError(
                f"{asked_by}: prior: method '{name}' has no finetune on data set '{dataset}', "
                "expected one that tunes a prior"
            )
        return finetune

    def _unchecked(self, dataset: str, name: str) -> MethodConfig:
        """Return a method of which only the keys of its own files have to agree."""
        where = f"method '{name}' on data set '{dataset}'"
        return validated(CompleteMethod, self.content(dataset, name), where)

    def _seed_owner(self, dataset: str, name: str, chain: tuple[str, ...]) -> MethodConfig:
        if name in chain:
            raise UserError(f"seed.source: cycle {' -> '.join((*chain, name))}")
        method = self.unchecked(dataset, name)
        if method.seed.source in SEED_SOURCES:
            return method
        return self._seed_owner(dataset, method.seed.source, (*chain, name))

    def _layers(self, dataset: str, name: str) -> Keys:
        """Lay the file over what it extends, then the data set's and the run's changes to it."""
        recipe: Keys = {}
        for base, own in reversed(self.catalogue.lineage("method", name).items()):
            for changes in (
                own,
                self.catalogue.further_keys(dataset, base),
                self.dataset(dataset).recipes.get(base),
                self.catalogue.overrides("method", base),
            ):
                recipe = merge(recipe, changes or {})
        return recipe

    def sweep(self, dataset: str, name: str) -> ResolvedSweep:
        """Return what a sweep compares on a data set, everything about it checked.

        ``variants`` holds (value, method) in order, None being null. The base comes last, with None
        too, where no variant is the base there.
        """
        sweep, where = self._sweep_on(dataset, name), str(self.catalogue.path("ablation", name))
        if not sweep.values and not sweep.methods:
            raise UserError(f"{where}: no values, expected some for data set '{dataset}'")
        students = sweep.students or self.students(dataset)
        for student in students:
            self.check_input(student, dataset, f"{where}: students")
        variants = self._variants(dataset, sweep)
        for _, method in variants:
            for ipc in sweep.ipc:
                self.increments(dataset, method, ipc)
        kept = {"title", "base", "key", "ipc", "redundancy", "learner", "paper"}
        return ResolvedSweep(**sweep.model_dump(include=kept), students=students, variants=variants)

    def _sweep_on(self, dataset: str, name: str) -> SweepConfig:
        """Return a sweep with the keys that suit a data set; the run has the last word."""
        sweep = self.catalogue.sweeps[name]
        keys: Keys = {}
        for base in reversed(self.catalogue.lineage("dataset", dataset)):
            if base in sweep.datasets:
                keys |= sweep.datasets[base].model_dump(exclude_none=True)
        return sweep.model_copy(update=keys | self.catalogue.overrides("ablation", name))

    def _variants(self, dataset: str, sweep: SweepConfig) -> list[tuple[Value, str]]:
        if sweep.methods:
            return [(method, method) for method in sweep.methods]
        base = sweep.base
        variants: list[tuple[Value, str]] = [
            (value, self.same_as(dataset, variant_name(sweep, value))) for value in sweep.values
        ]
        named = [method for _, method in variants]
        return variants if base in named else [*variants, (None, base)]

    def _same_as(self, dataset: str, method: str) -> str:
        """Return which method a variant is on a data set: its base, one with a file, or itself."""
        if method not in self.catalogue.variants:
            return method
        own = _undescribed(self.content(dataset, method))
        base = self.catalogue.variants[method].recipe["extends"]
        others = [base, *self.catalogue.files("method")]
        same = (m for m in others if _undescribed(self.content(dataset, m)) == own)
        return next(same, method)

    def check_prior(self, dataset: str) -> None:
        """Raise UserError unless a local prior folder is whole and fits data set and methods."""
        methods = (self.resolved(dataset, name) for name in self.run.methods)
        samplers = [m.sampler for m in methods if m.source == "prior"]
        check_prior(self.dataset(dataset), self._where(dataset), samplers)

    def check_small_decoder(self, dataset: str) -> None:
        """Raise UserError unless a small decoder that is here fits the data set and its prior."""
        check_small_source(self.dataset(dataset), self._where(dataset))


def _undescribed(recipe: Keys) -> Keys:
    return {key: value for key, value in recipe.items() if key != "description"}


def or_at_home(path: str, home: Path | None) -> str:
    """Return a path, or the same one below ``home`` if it is found there alone."""
    if home is None or Path(path).exists() or not (home / path).exists():
        return path
    return str(home / path)


def expand_paths(recipe: Keys, keys: Sequence[str], where: str, home: Path | None) -> None:
    """Expand ``~`` and variables in place in some dotted keys of a recipe, where they are set.

    What is then found below ``home`` alone gets its path.
    """
    for key in keys:
        *sections, name = key.split(".")
        part = reduce(getitem, sections, recipe)
        if part[name] is not None:
            part[name] = or_at_home(expand_path(part[name], f"{where}: {key}"), home)
