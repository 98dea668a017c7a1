"""Where real images lie on disk, and what of a source decides what jobs make of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.listings import Listing
from lgd_core.config.data_kinds import VARIABLE, kind_of
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.config.settings import SourceSettings

# Keys of all kinds that decide what arrays are made of the files of a source.
PREPARED_BY = ("validation_fraction", "skip_broken")
# More of them, which do not act unless they are set.
PREPARED_BY_IF_SET = ("stream", "test_resize")
Result = TypeVar("Result")


def compares_with_paper(source: SourceConfig) -> bool:
    """Whether the paper's numbers may stand beside a data set's own."""
    kind = kind_of(source)
    return kind.compares_with_paper(kind.own(source))


def fetching_keys(source: SourceConfig) -> dict[str, Any]:
    """Return the keys of a source that decide what is fetched; those of other kinds do not."""
    return _keys(source, "kind", *kind_of(source).fetched_by)


def preparing_keys(source: SourceConfig) -> dict[str, Any]:
    """Return the keys of a source that decide what arrays are made of its files."""
    acting = [name for name in PREPARED_BY_IF_SET if getattr(source, name)]
    return _keys(source, "kind", *PREPARED_BY, *acting, *kind_of(source).prepared_by)


def _keys(source: SourceConfig, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def resolve_source(data: SourceSettings, where: str) -> SourceConfig:
    """Return a data set's source with its folder: its own, or else that of ``LGD_DATA``.

    Raises MissingFolderError where there is no such folder, and UserError unless it has its parts
    and one folder per class in them.
    """
    source, (named, folder) = data.source, _named_folder(data.source, where)
    kind = kind_of(source)
    if folder is not None:
        with_prefix(named, kind.check_folder, data.wanted, Path(folder))
        return source.model_copy(update={"folder": folder})
    if kind.folder and kind.folder.required:
        raise MissingFolderError(
            f"{named}: found none and {VARIABLE} unset, expected {kind.expected}"
        )
    return source


def _named_folder(source: SourceConfig, where: str) -> tuple[str, str | None]:
    """Return the key or variable that names a source's folder, and the folder."""
    folder, value = kind_of(source).folder, os.environ.get(VARIABLE)
    if source.folder is None and folder and folder.by_variable and value:
        return VARIABLE, expand_path(value, VARIABLE)
    return f"{where}: source.folder", source.folder


def source_folder(source: SourceConfig, where: str) -> str | None:
    """Return the folder of a data set's source, whether it is there or not; None without one."""
    return _named_folder(source, where)[1]


def with_prefix(named: str, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function; what is wrong with its files gets the name of the key that led there."""
    try:
        return function(*arguments)
    except UserError as error:
        raise type(error)(f"{named}: {error}") from error
    except OSError as error:
        raise UserError(f"{named}: {error}") from error


def images_root(source: SourceConfig, raw: Path) -> Path:
    """Return where the files of a source lie once they are fetched: its folder, or ``raw``."""
    kind = kind_of(source)
    return kind.images_root(kind.own(source), raw)


def watch_source(data: SourceSettings, where: str) -> dict[str, int]:
    """Return the times of change of a source's folders, see Listing; errors as of list_source."""
    named, _ = _named_folder(data.source, where)
    source, kind = resolve_source(data, where), kind_of(data.source)
    if source.folder is None:
        return {}
    return with_prefix(named, kind.watch_folders, data.wanted, Path(source.folder))


def list_source(data: SourceSettings, where: str) -> Listing | None:
    """Return the files that a data set's arrays are made of; None where the workflow brings them.

    Everything that can be known from names and numbers of files is checked: raises UserError, and
    MissingFolderError where there is no folder.
    """
    named, _ = _named_folder(data.source, where)
    source, kind = resolve_source(data, where), kind_of(data.source)
    if source.folder is None:
        return None
    return with_prefix(named, kind.list_files, data.wanted, Path(source.folder))
