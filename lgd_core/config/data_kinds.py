"""Kinds of data sets: what one tells the configuration, and which there are.

A module of `lgd_core.data.kinds` offers a kind as ``KIND``, known by the module's name. What it
tells the jobs beside is in `lgd_core.data.kind`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, ValidationError, create_model

from lgd_core.base.listings import Listing
from lgd_core.config.models.base import DisagreementError, first_fault
from lgd_core.config.models.images import ImageConfig
from lgd_core.config.models.source import SourceKeys
from lgd_core.config.plugins import discover

# By name alone, since the package stands above this one.
PACKAGE = "lgd_core.data.kinds"
VARIABLE = "LGD_DATA"
Keys = TypeVar("Keys", bound=SourceKeys)


@dataclass(frozen=True)
class Wanted(Generic[Keys]):
    """What a data set wants of its kind: images of which classes and size, by which keys.

    ``wnids`` is empty where classes are plain names.
    """

    classes: list[str]
    wnids: list[str]
    image: ImageConfig
    source: Keys


@dataclass(frozen=True)
class Folder:
    """What ``source.folder`` is to a kind of data set."""

    # After 'for KIND,' in the reference.
    meaning: str
    # What it has to be, for messages.
    expected: str
    # Whether there is no other way to the images.
    required: bool = False
    # Whether LGD_DATA may name it.
    by_variable: bool = False


class SourceKind(Generic[Keys]):
    """What the configuration asks a kind of data set; every method may stay as it is here."""

    # In brackets after the kind's name in the reference.
    description: str
    # The common keys and those that belong to this kind alone, which no other kind may have.
    keys: type[Keys]
    # None where the kind has no use for one.
    folder: Folder | None = None
    # Whether every image is a file of its own, so that images can be decoded when they are read.
    of_files: bool = False
    # Which of the kind's own keys decide what is fetched, and which what arrays are made of it.
    fetched_by: tuple[str, ...] = ()
    prepared_by: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What ``source.folder`` has to be, for messages."""
        return self.folder.expected if self.folder else "no folder"

    def own(self, source: SourceKeys) -> Keys:
        """Return the keys of a source that concern its kind, without those of other kinds."""
        try:
            return self.keys.model_validate({k: getattr(source, k) for k in self.keys.model_fields})
        except ValidationError as error:
            fault = first_fault(error)
            raise DisagreementError(f"source.{fault.key}".strip("."), str(fault)) from None

    def wanted(
        self, classes: list[str], wnids: list[str], image: ImageConfig, source: SourceKeys
    ) -> Wanted[Keys]:
        """Return what a data set wants, with the keys of its kind alone."""
        return Wanted(classes, wnids, image, self.own(source))

    def check(self, data: Wanted[Keys]) -> None:
        """Raise DisagreementError where keys do not agree; the key is one of the data set's."""

    def check_folder(self, data: Wanted[Keys], root: Path) -> None:
        """Raise UserError unless a source's folder has its parts, MissingFolderError without it."""

    def list_files(self, data: Wanted[Keys], root: Path) -> Listing | None:
        """Return the files under a source's folder, by names that do not depend on where it lies.

        Everything that can be known from names and numbers of files is checked: raises UserError.
        None means that their contents are known by digests of the kind's own.
        """
        return None

    def watch_folders(self, data: Wanted[Keys], root: Path) -> dict[str, int]:
        """Return times of change, in ns, by which new and missing files are noticed, see Listing.

        Empty if the files themselves are compared.
        """
        return {}

    def images_root(self, source: Keys, raw: Path) -> Path:
        """Return where files lie once they are fetched; ``raw`` is where fetching puts its own."""
        return raw

    def compares_with_paper(self, source: Keys) -> bool:
        """Whether the paper's numbers may stand beside those of such a data set."""
        return False


def data_kinds() -> dict[str, SourceKind[Any]]:
    """Return all kinds of data sets by their names in recipes, in alphabetical order."""
    return discover(PACKAGE, "KIND")


def kind_of(source: SourceKeys) -> SourceKind[Any]:
    """Return the kind of a source."""
    return data_kinds()[source.kind]


def source_model() -> type[SourceKeys]:
    """Return the model of ``source:``, in which the keys of all kinds stand side by side.

    Raises TypeError where two kinds have the same key.
    """
    known = data_kinds()
    fields: dict[str, Any] = {
        "kind": (Literal[tuple(known)], Field(description=_kinds_in_words(known))),
        "folder": (str | None, Field(None, description=_folders_in_words(known))),
    }
    for name, kind in known.items():
        for key, field in kind.keys.model_fields.items():
            if key in SourceKeys.model_fields:
                continue
            if key in fields:
                raise TypeError(f"{PACKAGE}: key '{key}' of '{name}' is another kind's already")
            fields[key] = (field.annotation, field)
    return create_model("KeysOfAllKinds", __base__=SourceKeys, **fields)


def _kinds_in_words(known: dict[str, SourceKind[Any]]) -> str:
    return f"{_listed([f'{name} ({kind.description})' for name, kind in known.items()], 'or')}."


def _folders_in_words(known: dict[str, SourceKind[Any]]) -> str:
    folders = {name: kind.folder for name, kind in known.items() if kind.folder}
    meanings = "; ".join(f"for {name}, {folder.meaning}" for name, folder in folders.items())
    named = _listed([name for name, folder in folders.items() if folder.by_variable], "and")
    return f"A local copy: {meanings}. Null means the environment variable {VARIABLE} for {named}."


def _listed(words: list[str], link: str) -> str:
    return f" {link} ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
