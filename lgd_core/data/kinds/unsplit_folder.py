"""A user's own class folders, which nobody has divided into training and test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from lgd_core.base.errors import MissingFolderError
from lgd_core.config.data_kinds import Folder, Wanted
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.kind import Files
from lgd_core.data.trees import Labelled, TreeKind

if TYPE_CHECKING:
    from lgd_core.data.parts import Part


class UnsplitKeys(SourceKeys):
    """How many images are for testing."""

    test_share: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of every class's images held out for testing, for unsplit-folder.",
    )


class UnsplitFolder(TreeKind[UnsplitKeys]):
    """Any images, of which a share of every class is for testing."""

    description = "class folders, of which a share is held out for testing"
    keys = UnsplitKeys
    folder = Folder(
        meaning="required", expected="a folder of class folders", required=True, by_variable=True
    )
    prepared_by = ("test_share",)
    of_wnids = False

    def parts(self, root: Path) -> tuple[Path, ...]:
        if not root.is_dir():
            raise MissingFolderError(f"no folder {root}, expected {self.expected}")
        return (root,)

    def images(self, data: Wanted[UnsplitKeys], root: Path) -> tuple[Labelled, ...]:
        return tuple(self.all_classes(data, root, part) for part in self.parts(root))

    def read(
        self, name: str, data: Wanted[UnsplitKeys], root: Path, files: Files
    ) -> "tuple[Part, Part]":
        (images,) = self.images(data, root)
        return self.part(data, root, images, files).split(data.source.test_share, "test")


KIND = UnsplitFolder()
