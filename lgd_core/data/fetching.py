"""Raw files of data sets, from wherever their kind has them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lgd_core.config.models.dataset import SourceConfig
from lgd_core.data.kind import data_kind


def fetch(source: SourceConfig, folder: Path, log: Callable[[str], None]) -> dict[str, Any]:
    """Bring the raw files of a data set into ``folder``; a tree on disk is read where it is.

    Return which source served them as ``served_by`` and perhaps a ``note`` for those who read the
    scores, or what the files are; sources.images_root says where they then lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = data_kind(source)
    return kind.fetch(kind.own(source), folder, log)
