"""Class folders of images, with a table: `metadata.csv`, or the `manifest.csv` of a merged set.

Read are such folders of any program: class folders by wnid, name or number, or no class folders but
a `metadata.csv` with the columns file_name and label.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lgd_core.base.decoding import decode
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.base.image_files import entries, is_image, is_litter, read_bytes, walk
from lgd_core.config.classes import class_folder, class_folders, class_labels
from lgd_core.config.external import MANIFEST, PROVENANCE
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.form import Arriving, Form, Opening
from lgd_core.exchange.leaving import Leaving, Row
from lgd_core.exchange.listing import natural

METADATA = "metadata.csv"
# Tables that say more of the images, with the name of the column that has their paths.
TABLES = {MANIFEST: "file", METADATA: "file_name"}
LISTED = 5


def write(folder: Path, leaving: Leaving) -> None:
    """Write class folders of PNG, whose sorted places are the labels, and their table."""
    names = leaving.classes.names
    by_class: list[list[Row]] = [[] for _ in names]
    for row in leaving.rows:
        by_class[row.label].append(row)
    for label, rows in enumerate(by_class):
        part = folder / class_folder(label, names)
        if part.is_dir():
            continue
        with atomic(part) as temporary:
            temporary.mkdir()
            for row in rows:
                (temporary / Path(row.file).name).write_bytes(leaving.encoded(row))
    with atomic(folder / METADATA) as temporary, open(temporary, "w", newline="") as stream:
        columns = ["file_name", *leaving.described(leaving.rows[0])]
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({"file_name": row.file} | leaving.described(row) for row in leaving.rows)


def find(path: Path, classes: ClassNames) -> list[Path]:
    """Return the images of a tree, and what it says of them; none for a path that is no folder."""
    if not path.is_dir():
        return []
    images = [file for file, _, _ in _listed(path, classes)]
    return [*images, *(path / name for name in (*TABLES, PROVENANCE) if (path / name).is_file())]


def open_tree(asked: Opening) -> Arriving:
    """Return the images of a tree, class by class, by file name, ``2`` before ``10``."""
    listed = _listed(asked.path, asked.classes)
    images, labels, increments = map(list, zip(*listed, strict=True))
    names = [file.relative_to(asked.path).as_posix() for file in images]
    table = _table(asked.path)
    return Arriving(
        names=names,
        labels=labels,
        increments=None if None in increments else increments,
        weights=table.weights(names) if table else None,
        read=lambda number: decode(images[number], asked.channels, asked.read),
        left_out=_left_out(asked.path, set(asked.files)),
    )


FORM = Form(
    description="class folders of PNG with metadata.csv",
    write=write,
    loading="""from datasets import load_dataset
from torchvision.datasets import ImageFolder

images = load_dataset("imagefolder", data_dir="FOLDER", split="train")  # with metadata.csv
images = ImageFolder("FOLDER")  # images and labels alone""",
    find=find,
    open=open_tree,
    # Any folder may be one of class folders.
    order=1,
)


def _listed(path: Path, classes: ClassNames) -> list[tuple[Path, int, int | None]]:
    """Return (file, label, increment) of a tree's images; increments are None if nothing says so.

    Raises UserError where folders or labels do not match the classes, a class has no image, or a
    table lists other files than there are.
    """
    table = _table(path)
    if table and "label" in table.columns:
        images = _labelled(table, classes)
    else:
        images = list_images(path, classes)
    if table is None or "increment" not in table.columns:
        return [(file, label, None) for file, label in images]
    table.check_files(file.relative_to(path).as_posix() for file, _ in images)
    increments = table.numbers("increment")
    return [(file, label, increments[file.relative_to(path).as_posix()]) for file, label in images]


def _table(path: Path) -> "Table | None":
    """Return the table of a tree, if it has one."""
    name = next((name for name in TABLES if (path / name).is_file()), None)
    return Table(path / name, TABLES[name]) if name else None


def list_images(folder: Path, classes: ClassNames) -> list[tuple[Path, int]]:
    """Return (path, label) of the images in class folders, class by class, ``2`` before ``10``.

    Folders are matched as classes.class_folders does. Raises UserError where folders do not match
    the classes or one has no image.
    """
    images: list[tuple[Path, int]] = []
    walked: dict[tuple[int, int], str] = {}
    for label, path in enumerate(class_folders(folder, classes.names, classes.wnids)):
        found = sorted((Path(p) for p in walk(path, walked) if is_image(p)), key=natural)
        if not found:
            raise UserError(f"{path}: found no images, expected at least one")
        images += [(file, label) for file in found]
    return images


def _labelled(table: "Table", classes: ClassNames) -> list[tuple[Path, int]]:
    """Return (path, label) of the images of a table, class by class; its wnids decide, if any."""
    column = "wnid" if "wnid" in table.columns else "label"
    values = {file: row[column] for file, row in table.rows.items()}
    labels = class_labels(values.values(), classes.names, classes.wnids, f"{table.path}: {column}")
    images = [(table.path.parent / file, labels[value]) for file, value in values.items()]
    if missing := next((file for file, _ in images if not file.is_file()), None):
        raise UserError(f"{table.path}: found no file {missing}, expected all that are listed")
    return sorted(images, key=lambda image: (image[1], natural(image[0])))


def _left_out(folder: Path, files: set[Path]) -> list[str]:
    """Return the files of a tree that are not read, by their path in it."""
    folders = [Path(entry.path) for entry in entries(folder) if entry.is_dir()]
    beside = [entry.path for entry in entries(folder) if not entry.is_dir()]
    every = beside + [path for each in folders if not is_litter(each) for path in walk(each)]
    return [os.path.relpath(path, folder) for path in every if Path(path) not in files]


class Table:
    """A table of a tree's images: ``columns``, and ``rows`` by the path of a file in the tree.

    Raises UserError for what is no such table.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, needed = path, {"file": ("file", "increment")}.get(key, (key,))
        expected = f"expected a table in UTF-8 with the columns {' and '.join(needed)}"
        try:
            text = read_bytes(path).decode("utf-8-sig")
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            self.columns, rows = list(reader.fieldnames or ()), list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: found no table ({error}), {expected}") from error
        if not set(needed) <= set(self.columns):
            found = ", ".join(self.columns) or "none"
            raise UserError(f"{path}: found columns {found}, {expected}")
        self.rows: dict[str, dict[str, str]] = {}
        used = {*needed, "increment", "label", "wnid"} & set(self.columns)
        for number, row in enumerate(rows, start=1):
            if any(not row[column] for column in used):
                raise UserError(f"{path}: row {number}: found an empty cell, {expected}")
            file = Path(row[key]).as_posix()
            if Path(file).is_absolute() or ".." in Path(file).parts:
                raise UserError(
                    f"{path}: row {number}: found {file}, expected a file within the folder"
                )
            if file in self.rows:
                raise UserError(
                    f"{path}: row {number}: found {file} again, expected every file once"
                )
            self.rows[file] = row

    def check_files(self, files: Iterable[str]) -> None:
        """Raise UserError unless the table lists these files."""
        there = set(files)
        if set(self.rows) != there:
            raise UserError(
                f"{self.path}: found {len(self.rows)} files, expected the {len(there)} of the "
                f"folder (not listed: {_some(there - set(self.rows))}; "
                f"not there: {_some(set(self.rows) - there)})"
            )

    def weights(self, files: Sequence[str]) -> list[float] | None:
        """Return the weights of files, 1 for an empty cell; None if the table has no such column.

        Raises UserError for what is no number.
        """
        if "weight" not in self.columns:
            return None
        cells = [self.rows[file]["weight"] if file in self.rows else "" for file in files]
        try:
            return [float(cell) if cell else 1.0 for cell in cells]
        except ValueError as error:
            raise UserError(f"{self.path}: weight: found no number ({error})") from error

    def numbers(self, column: str) -> dict[str, int]:
        """Return a column of whole numbers from 0 without a gap; raises UserError for others."""
        values = {file: row[column].strip() for file, row in self.rows.items()}
        numbers = {file: int(v) if v.isdecimal() else -1 for file, v in values.items()}
        if set(numbers.values()) != set(range(max(numbers.values()) + 1)):
            found = ", ".join(sorted(set(values.values()))[:LISTED])
            raise UserError(
                f"{self.path}: {column}: found {found}, expected numbers from 0 without a gap"
            )
        return numbers


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    return (", ".join(names[:LISTED]) or "none") + (" ..." if len(names) > LISTED else "")
