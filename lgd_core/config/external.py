"""Sets of images from elsewhere: what a run says of them; folders of images as seeds.

Free of PyTorch: it is read before every run, by every job.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.image_files import entries, is_image
from lgd_core.base.listings import Listing
from lgd_core.config.classes import class_folders
from lgd_core.config.models.run import ExternalConfig, RunConfig
from lgd_core.config.plain import Keys
from lgd_core.config.prior_files import is_hub_name
from lgd_core.config.schema import suggest
from lgd_core.config.settings import ClassNames

# Sets from elsewhere stand among methods by this and their name.
METHOD_PREFIX = "external:"
# What a set of our own has beside its class folders.
MANIFEST, PROVENANCE = "manifest.csv", "provenance.json"


@dataclass(frozen=True)
class ExternalSet:
    """A set of images from elsewhere: where it is, the data set of its classes, and the keys of
    ExternalConfig that say what its files do not.
    """

    folder: str
    dataset: str
    increment: int
    factor: int = 1
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    revision: str | None = None

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides how its files are read, by key; keys that say nothing are left out."""
        own = {"dataset": self.dataset, "increment": self.increment}
        more = {"factor": self.factor, "mean": self.mean, "std": self.std}
        unset = {"factor": 1, "mean": None, "std": None}
        return own | {key: value for key, value in more.items() if value != unset[key]}

    @property
    def is_on_hub(self) -> bool:
        """Whether it is to be fetched from the hub."""
        return not Path(self.folder).exists() and is_hub_name(self.folder)


def resolve_external(
    run: RunConfig, datasets: list[str], methods: list[str]
) -> dict[str, ExternalSet]:
    """Return the set behind every name under ``external`` of a run.

    Raises UserError for an unknown data set, none where the run has several, and a name that a data
    set, a method or another spelling of it has already.
    """
    if "external" in datasets:
        raise UserError("datasets: the name 'external' is reserved, expected another file name")
    taken = dict.fromkeys(map(str.lower, datasets), "dataset")
    taken |= dict.fromkeys(map(str.lower, methods), "method")
    resolved: dict[str, ExternalSet] = {}
    for name, entry in run.external.items():
        where = f"config: external.{name}"
        if kind := taken.get(str(name).lower()):
            raise UserError(f"{where}: found the name of a {kind}, expected one of its own")
        taken[str(name).lower()] = "folder under external"
        given = ExternalConfig(folder=entry) if isinstance(entry, str) else entry
        resolved[str(name)] = _resolve(given, run.datasets, datasets, where)
    return resolved


def _resolve(
    given: ExternalConfig, of_run: list[str], datasets: list[str], where: str
) -> ExternalSet:
    dataset = given.dataset or (of_run[0] if len(of_run) == 1 else None)
    if dataset is None:
        raise UserError(
            f"{where}.dataset: missing, expected one of {', '.join(of_run)}, since the run has "
            "several data sets"
        )
    if dataset not in datasets:
        raise UserError(f"{where}.dataset: unknown dataset '{dataset}'{suggest(dataset, datasets)}")
    return ExternalSet(
        folder=expand_path(given.folder, f"{where}.folder"),
        dataset=dataset,
        increment=given.increment,
        factor=given.factor,
        mean=None if given.mean is None else tuple(given.mean),
        std=None if given.std is None else tuple(given.std),
        revision=given.revision,
    )


def external_methods(sets: dict[str, ExternalSet]) -> dict[str, Keys]:
    """Return the recipe of the method external:NAME for every set of the run."""
    return {
        f"{METHOD_PREFIX}{name}": {
            "extends": "random",
            "description": f"The set '{name}' from elsewhere",
            "source": "external",
            "external": {"set": name, "factor": entry.factor},
            "ipc_per_increment": entry.increment,
        }
        for name, entry in sets.items()
    }


def seed_images(folder: str | Path, names: ClassNames, count: int) -> list[Path]:
    """Return the first ``count`` images by name of every class folder of a seed.

    Folders are matched as those of a data set are, see classes.class_folders. Raises UserError
    where folders or images are too few.
    """
    images: list[Path] = []
    for path in class_folders(folder, names.names, names.wnids):
        found = [Path(e.path) for e in entries(path) if is_image(e.name) and not e.is_dir()]
        if len(found) < count:
            raise UserError(f"{path}: found {len(found)} images, expected {count}")
        images += found[:count]
    return images


def list_seed(folder: str, names: ClassNames, count: int, where: str) -> Listing:
    """Return the images of a seed that is read from a folder, by their paths in it.

    Raises UserError as seed_images does, and MissingFolderError where there is no folder.
    """
    if not Path(folder).is_dir():
        raise MissingFolderError(f"{where}: seed.folder: found {folder!r}, expected a folder")
    images = seed_images(folder, names, count)
    return Listing({path.relative_to(folder).as_posix(): str(path) for path in images})
