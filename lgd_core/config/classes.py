"""Classes of a data set: names, wnids, ImageNet indices, and the folders that hold their images."""

import csv
import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

from lgd_core.base.digests import digest
from lgd_core.base.errors import UserError
from lgd_core.base.image_files import entries
from lgd_core.config.models.images import ClassConfig

# Kinds of data sets, which models of data sets are made with, ask for class folders.
if TYPE_CHECKING:
    from lgd_core.config.models.dataset import DatasetConfig

LISTED = 10


@cache
def imagenet_indices() -> dict[str, int]:
    """Return the index of each of the 1000 wnids of ILSVRC-2012: its place when all are sorted.

    Networks and priors trained on ImageNet number their classes so. The list is timm's, read as a
    file: importing timm would import torch, and configuration is read by every job.
    """
    path = distribution("timm").locate_file("timm/data/_info/imagenet_synsets.txt")
    return {wnid: index for index, wnid in enumerate(sorted(Path(str(path)).read_text().split()))}


def read_classes(path: str, where: str) -> list[str] | list[dict[str, str]]:
    """Return the classes of a CSV file, in its order: names, or mappings of wnid and name.

    Raises UserError, for ``where``, if there is no such file, or if it has other columns.
    """
    key = f"{where}: classes"
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{key}: {path}: {reason}, expected a list or a CSV file") from None
    columns: list[str] = sorted(map(str, rows[0])) if rows else []
    if not all(all(row.values()) for row in rows) or columns not in (["name"], ["name", "wnid"]):
        found = ", ".join(columns) or "nothing"
        raise UserError(
            f"{key}: {path}: found {found}, expected name, and wnid if any, in all rows"
        )
    if columns == ["name"]:
        return [row["name"] for row in rows]
    return [{"wnid": row["wnid"], "name": row["name"]} for row in rows]


def prior_labels(dataset: "DatasetConfig", where: str) -> list[int]:
    """Return the label of every class in a data set's prior; empty means 0, 1, 2, ...

    A pretrained prior's label comes from the wnid alone, never from the place of a class or of its
    folder. Raises UserError for a wnid that is not ImageNet's, for an index that is another
    class's, and where the labels are given twice.
    """
    items, labels = dataset.classes, dataset.prior.labels
    mappings = [item for item in items if isinstance(item, ClassConfig)]
    if not mappings:
        return labels
    if len(mappings) < len(items):
        raise UserError(f"{where}: classes: found names and mappings, expected one kind for all")
    if labels:
        raise UserError(f"{where}: prior.labels: found labels, expected none beside wnids")
    indices = [_index(item, f"{where}: classes.{i}") for i, item in enumerate(mappings)]
    for key, values in (("classes", dataset.class_names), ("wnids", dataset.wnids)):
        if twice := [value for value in values if values.count(value) > 1]:
            raise UserError(f"{where}: {key}: found {twice[0]} twice, expected it once")
    return [] if dataset.prior.source == "train" else indices


def _index(item: ClassConfig, where: str) -> int:
    known = imagenet_indices().get(item.wnid)
    if known is None:
        raise UserError(f"{where}.wnid: found {item.wnid}, expected one of ImageNet's 1000")
    if item.index not in (None, known):
        raise UserError(
            f"{where}.index: found {item.index}, expected {known}, the index of {item.wnid}"
        )
    return known


def sample_of(names: Sequence[str], count: int) -> list[str]:
    """Return ``count`` of the classes in label order, chosen by a key of each name.

    Which are chosen does not depend on the order of the classes, and more include fewer.
    """
    chosen = set(sorted(names, key=lambda name: digest(["class shown", name]))[:count])
    return [name for name in names if name in chosen]


def class_folder(label: int, names: Sequence[str]) -> str:
    """Return the folder of a class, whose sorted position is its label."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", names[label]).strip("_")
    return f"{label:0{len(str(len(names) - 1))}d}_{slug}"


def class_label(folder: str, names: Sequence[str]) -> int:
    """Return the label of the class whose images lie in a folder of that name, see class_folder.

    Raises UserError that lists the folders there are.
    """
    known = [class_folder(label, names) for label in range(len(names))]
    if folder not in known:
        raise UserError(f"class: found '{folder}', expected one of {_listed(known)}")
    return known.index(folder)


def class_folders(
    root: str | Path, names: Sequence[str], wnids: Sequence[str] = (), others: bool = False
) -> list[Path]:
    """Return the folder of every class in ``root``, in label order.

    Folders are known by wnid, by name, by name with the label before it, as ``class_folder``
    writes it, or by number: the label, or the wnid's index in ImageNet. Only where there are no
    wnids and nothing of this fits are they taken in sorted order. Raises UserError that lists what
    is missing and what is too much; ``others`` allows the latter.
    """
    root = Path(root)
    found = [e.name for e in entries(root) if e.is_dir() and not e.name.startswith(".")]
    expected = _known_as(found, names, wnids)
    if expected is None and not wnids and len(found) == len(names):
        return [root / folder for folder in found]
    expected = expected or wnids or names
    _check_all(found, expected, f"{root}: found {len(found)} class folders", others)
    return [root / folder for folder in expected]


def class_labels(
    found: Iterable[str], names: Sequence[str], wnids: Sequence[str], where: str
) -> dict[str, int]:
    """Return the label of each of the classes that images are marked with.

    What they are called is understood as folders are, but case and punctuation do not count.
    Raises UserError, for ``where``, unless they are the classes of the data set, all of them.
    """
    spelled = {slug(name): name for name in found}
    expected = _known_as(spelled, *([slug(name) for name in each] for each in (names, wnids)))
    expected = expected or list(wnids or names)
    _check_all(spelled, expected, f"{where}: found {len(spelled)} classes")
    return {spelled[name]: label for label, name in enumerate(expected)}


def _known_as(
    found: Collection[str], names: Sequence[str], wnids: Sequence[str]
) -> Sequence[str] | None:
    """Return by what the classes are known in ``found``, in label order; None if by nothing."""
    labelled = [class_folder(label, names) for label in range(len(names))]
    known = (wnids, names, labelled, _numbered(found, wnids, len(names)))
    return next((scheme for scheme in known if set(scheme) & set(found)), None)


def _check_all(
    found: Collection[str], expected: Sequence[str], what: str, others: bool = False
) -> None:
    """Raise UserError unless ``found`` are the expected classes, or more where others may be."""
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or (extra and not others):
        raise UserError(
            f"{what}, expected {len(expected)} (missing: {_listed(missing)}; "
            f"extra: {_listed(extra)})"
        )


def slug(name: str) -> str:
    """Return a class's name without what spelling may vary in: case and punctuation."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _numbered(found: Collection[str], wnids: Sequence[str], count: int) -> list[str]:
    """Return the folders in label order where all names are numbers, as in ``007``; else none."""
    by_number = {int(folder): folder for folder in found if folder.isdecimal()}
    if not by_number or len(by_number) < len(found):
        return []
    indices = [imagenet_indices()[wnid] for wnid in wnids]
    numbers = indices if set(indices) == set(by_number) else range(count)
    return [by_number.get(number, str(number)) for number in numbers]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more
