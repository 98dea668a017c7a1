"""scikit-learn's copy of the UCI handwritten digits: no files to fetch."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lgd_core.config.data_kinds import Wanted
from lgd_core.config.models.source import SourceKeys
from lgd_core.data.kind import DataKind, Files

if TYPE_CHECKING:
    from sklearn.utils import Bunch

    from lgd_core.data.parts import Part


class Digits(DataKind[SourceKeys]):
    """1,797 images of 8 x 8, of which a fifth is for testing."""

    description = "of scikit-learn"
    keys = SourceKeys

    def fetch(self, source: SourceKeys, raw: Path, log: Callable[[str], None]) -> dict[str, Any]:
        return {"served_by": "scikit-learn"}

    def read(
        self, name: str, data: Wanted[SourceKeys], root: Path, files: Files
    ) -> "tuple[Part, Part]":
        import numpy as np
        from sklearn.datasets import load_digits

        from lgd_core.data.parts import in_memory

        digits = cast("Bunch", load_digits())
        images = (digits.images * (255 / 16)).round().astype(np.uint8)
        return in_memory(name, data, images, digits.target.astype(np.int64)).split(0.2, "test")


KIND = Digits()
