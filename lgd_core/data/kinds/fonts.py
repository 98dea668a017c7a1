"""Characters drawn with the typefaces of Debian packages or of a folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from lgd_core.base.errors import MissingFolderError
from lgd_core.base.image_files import list_fonts
from lgd_core.base.listings import Listing
from lgd_core.config.data_kinds import Folder, Wanted
from lgd_core.config.models.base import DisagreementError, Distinct, Fraction, Text, matching
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.kind import DataKind, Files

if TYPE_CHECKING:
    from lgd_core.data.parts import Part

Package = Annotated[str, matching("^[a-z0-9][a-z0-9+.-]+$", "the name of a Debian package")]
Character = Annotated[str, Field(min_length=1, max_length=1)]


class FontKeys(SourceKeys):
    """Which fonts, and what is drawn of them."""

    packages: Distinct[Package] = Field(
        [], description="Debian packages whose fonts are drawn, for fonts; installed or downloaded."
    )
    characters: Distinct[Character] = Field(
        [], description="The character that each class is drawn as, for fonts."
    )
    exclude: list[Text] = Field(
        [], description="Names or patterns of font files that draw no letters, for fonts."
    )
    test_fraction: float = Field(
        0.15,
        ge=0.01,
        le=0.5,
        description="Share of families held out for testing, on average, for fonts.",
    )
    min_distance: Fraction = Field(
        0.02,
        description=(
            "Root mean square difference, on [0, 1], up to which two images of a class count as "
            "one, for fonts."
        ),
    )


class Fonts(DataKind[FontKeys]):
    """Images of a class are one character; families of typefaces are never split."""

    description = "characters drawn with the typefaces of Debian packages or of a folder"
    keys = FontKeys
    folder = Folder(
        meaning="a folder of font files that stands in for packages", expected="a folder of fonts"
    )
    fetched_by = ("packages",)
    prepared_by = ("characters", "exclude", "test_fraction", "min_distance")

    def check(self, data: Wanted[FontKeys]) -> None:
        source = data.source
        if not source.packages and source.folder is None:
            raise DisagreementError(
                "source.packages", "found none, expected some or a source.folder"
            )
        if len(source.characters) != len(data.classes):
            raise DisagreementError(
                "source.characters",
                f"found {len(source.characters)}, expected {len(data.classes)}, one per class",
            )

    def check_folder(self, data: Wanted[FontKeys], root: Path) -> None:
        if not root.is_dir():
            raise MissingFolderError(f"found no folder {root}, expected {self.expected}")

    def list_files(self, data: Wanted[FontKeys], root: Path) -> Listing:
        return Listing({str(path.relative_to(root)): str(path) for path in list_fonts(root)})

    def fetch(self, source: FontKeys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        from lgd_core.data.font_files import fetch_fonts

        return fetch_fonts(source.packages, source.folder, raw, log)

    def images_root(self, source: FontKeys, raw: Path) -> Path:
        return Path(source.folder) if source.folder else raw

    def read(
        self, name: str, data: Wanted[FontKeys], root: Path, files: Files
    ) -> "tuple[Part, Part]":
        from lgd_core.data.glyphs import draw_letters
        from lgd_core.data.parts import in_memory

        source = data.source
        drawn = draw_letters(
            root, source.characters, data.image.size, source.exclude, source.min_distance, files
        )
        letters = replace(
            in_memory(name, data, drawn.images, drawn.labels), families=drawn.families
        )
        return letters.split(source.test_fraction, name, "test")


KIND = Fonts()
