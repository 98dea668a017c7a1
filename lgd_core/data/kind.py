"""The interface of a kind of data set: how its files are fetched, and read as images.

Each module of `lgd_core.data.kinds` derives a class from DataKind and has an object of it as KIND.
The configuration imports all of them before every run, so they must not import PyTorch or other
slow packages at the top.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lgd_core.base.errors import BrokenFileError
from lgd_core.config.data_kinds import Keys, SourceKind, Wanted, data_kinds
from lgd_core.config.models.source import SourceKeys

if TYPE_CHECKING:
    from lgd_core.data.parts import Part


@dataclass(frozen=True)
class Files:
    """Functions for reading files while arrays are made, and for reporting unusable files."""

    read: Callable[[str | Path], bytes]
    # Raises UserError unless the data set skips broken files.
    on_broken: Callable[[BrokenFileError], None]
    leave_out: Callable[[str], None]


class DataKind(SourceKind[Keys], ABC):
    """A kind of data set, see SourceKind for its keys and checks."""

    @abstractmethod
    def fetch(self, source: Keys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        """Fetch files into the folder ``raw``, or check that they are in the folder of ``source``.

        Returns ``served_by``, the source of the files, and for some kinds a ``note`` on how to read
        the scores. Raises UserError if the files cannot be obtained.
        """

    @abstractmethod
    def read(self, name: str, data: Wanted[Keys], root: Path, files: Files) -> "tuple[Part, Part]":
        """Return the training and the test images of a data set; ``root`` is that of images_root.

        Raises UserError if they do not fit the data set's configuration.
        """

    def list_left_out(self, data: Wanted[Keys], root: Path) -> list[str] | None:
        """Return the files beside the images that are not read; None if the kind has none."""
        return None


def data_kind(source: SourceKeys) -> DataKind[Any]:
    """Return the kind of a source."""
    return cast(DataKind[Any], data_kinds()[source.kind])
