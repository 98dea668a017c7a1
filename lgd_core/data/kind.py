"""What a kind of data set is to the jobs: how its files are brought, and read as images.

A module of `lgd_core.data.kinds` derives a class from DataKind and offers an object of it as KIND.
The configuration imports all of them before every run: free of PyTorch, and of all that is slow.
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
    """How a kind reads files while arrays are made, and whom it tells of those that are no use."""

    read: Callable[[str | Path], bytes]
    # Raises UserError unless the data set skips broken files.
    on_broken: Callable[[BrokenFileError], None]
    leave_out: Callable[[str], None]


class DataKind(SourceKind[Keys], ABC):
    """A kind of data set, see SourceKind for its keys and checks."""

    @abstractmethod
    def fetch(self, source: Keys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        """Bring files into the folder ``raw``, or look whether they are where ``source`` says.

        Return what served them as ``served_by``, and perhaps a ``note`` for those who read scores.
        Raises UserError where they cannot be had.
        """

    @abstractmethod
    def read(self, name: str, data: Wanted[Keys], root: Path, files: Files) -> "tuple[Part, Part]":
        """Return the training and the test images of a data set; ``root`` is that of images_root.

        Raises UserError where they are not what the data set wants.
        """

    def list_left_out(self, data: Wanted[Keys], root: Path) -> list[str] | None:
        """Return the files beside the images that are not read; None where there can be none."""
        return None


def data_kind(source: SourceKeys) -> DataKind[Any]:
    """Return the kind of a source."""
    return cast(DataKind[Any], data_kinds()[source.kind])
