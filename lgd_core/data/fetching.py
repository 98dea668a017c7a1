"""Fetching the raw files of data sets; each kind of data set has its own way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lgd_core.config.models.dataset import SourceConfig
from lgd_core.data.kind import data_kind


def fetch(source: SourceConfig, folder: Path, log: Callable[[str], None]) -> dict[str, Any]:
    """Fetch the raw files of a data set into ``folder``; a folder on disk is read where it lies.

    Returns ``served_by``, the source of the files, and for some kinds a ``note`` on how to read the
    scores, or a list of the files. sources.images_root gives the folder where they lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = data_kind(source)
    return kind.fetch(kind.own(source), folder, log)
