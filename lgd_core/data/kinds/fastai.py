"""fast.ai's archives of ImageNette and ImageWoof, another split of ImageNet's classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.listings import Listing
from lgd_core.config.data_kinds import Folder, Wanted
from lgd_core.config.models.base import DisagreementError
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.ilsvrc import check_fastai
from lgd_core.data.trees import Labelled, TreeKind

NOTE = (
    "fast.ai's archives split training and validation images anew, 70 to 30: their test images are "
    "not ImageNet's validation images, there are fewer to train on, and scores do not compare with "
    "the paper's"
)


class FastaiKeys(SourceKeys):
    """Which archive."""

    archive: Literal["imagenette2", "imagewoof2"] | None = Field(
        None, description="Name of the archive, for fastai."
    )

    @property
    def name(self) -> str:
        """The archive's name, as text."""
        return str(self.archive)


class Fastai(TreeKind[FastaiKeys]):
    """An archive or the unpacked folder; without either, the archive is downloaded."""

    description = "an archive of fast.ai, another split than the paper's"
    keys = FastaiKeys
    folder = Folder(
        meaning="an archive or what it unpacks to, looked at first",
        expected="an archive of fast.ai or what it unpacks to, with train/WNID/ and val/WNID/",
        by_variable=True,
    )
    fetched_by = ("archive",)
    published = True

    def check(self, data: Wanted[FastaiKeys]) -> None:
        super().check(data)
        if data.source.archive is None:
            raise DisagreementError(
                "source.archive", "found none, expected imagenette2 or imagewoof2"
            )

    def check_folder(self, data: Wanted[FastaiKeys], root: Path) -> None:
        found = self.find(data.source, root)
        if not found.is_file():
            super().check_folder(data, found)

    def list_files(self, data: Wanted[FastaiKeys], root: Path) -> Listing:
        found = self.find(data.source, root)
        if found.is_file():
            return Listing({f"{data.source.name}.tgz": str(found)}, published=True)
        return super().list_files(data, found)

    def check_images(
        self, data: Wanted[FastaiKeys], root: Path, train: Labelled, test: Labelled
    ) -> None:
        check_fastai(root, test)

    def fetch(self, source: FastaiKeys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        from lgd_core.data.archives import fetch_archive

        found = self.find(source, Path(source.folder)) if source.folder else None
        if found and found.is_dir():
            return {"served_by": f"folder {found}", "note": NOTE}
        return {"served_by": fetch_archive(source.name, found, raw, log), "note": NOTE}

    def images_root(self, source: FastaiKeys, raw: Path) -> Path:
        found = self.find(source, Path(source.folder)) if source.folder else None
        return found if found and found.is_dir() else raw / source.name / source.name

    def find(self, source: FastaiKeys, path: Path) -> Path:
        """Return the archive or the unpacked folder at ``path``.

        ``path`` is the archive, the unpacked folder, or a folder that contains one of them.
        """
        name = source.name
        if path.is_file():
            return path
        for candidate in (path / name, path):
            if (candidate / "train").is_dir():
                return candidate
        if (path / f"{name}.tgz").is_file():
            return path / f"{name}.tgz"
        wrong = UserError if path.is_dir() else MissingFolderError
        raise wrong(f"{path}: found neither {name} nor {name}.tgz, expected {self.expected}")


KIND = Fastai()
