"""Parquet as the library `datasets` writes and reads it, one configuration per number of images.

Read is the Parquet of any program that has a column of images, as files or as encoded bytes, and a
column of labels.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lgd_core.base.bombs import refuse_bomb
from lgd_core.base.decoding import decode
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.form import Arriving, Form, Opening
from lgd_core.exchange.leaving import Leaving, in_parts
from lgd_core.exchange.listing import listed_files

if TYPE_CHECKING:
    import pyarrow
    from datasets import Features

# Images of a file, and of a part of a file that is read at once.
PER_FILE, PER_GROUP = 4096, 128
# What a row takes in memory at least: its label, its place and its name.
ROW_BYTES = 100
IMAGES, LABELS = ("image", "img", "png", "jpg"), ("label", "labels", "fine_label", "cls", "wnid")
# Names of files that hold images to test with.
OTHER_SPLITS = ("test", "val")


def write(folder: Path, leaving: Leaving) -> None:
    """Write Parquet files of one increment each."""
    import pyarrow
    from pyarrow import parquet

    schema = features(leaving).arrow_schema
    for name, rows in in_parts(leaving.rows, PER_FILE):
        path = folder / "data" / f"{name}.parquet"
        if path.exists():
            continue
        with atomic(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
            for start in range(0, len(rows), PER_GROUP):
                group = [_as_row(leaving, row) for row in rows[start : start + PER_GROUP]]
                writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def features(leaving: Leaving) -> "Features":
    """Return the columns of a set, as `datasets` describes them."""
    from datasets import ClassLabel, Features, Image, List, Value

    wnid = {"wnid": Value("string")} if leaving.classes.wnids else {}
    columns = {"image": Image(), "label": ClassLabel(names=leaving.classes.names), **wnid}
    columns |= {"increment": Value("int32"), "position": Value("int32")}
    columns |= {"score": Value("float32"), "weight": Value("float32")}
    logits = {} if leaving.logits is None else {"logits": List(Value("float32"))}
    return Features(columns | logits)


def _as_row(leaving: Leaving, row: Any) -> dict[str, Any]:
    image = {"bytes": leaving.encoded(row), "path": f"{row.key}.png"}
    logits = {} if leaving.logits is None else {"logits": leaving.logits_of(row)}
    return {"image": image} | leaving.described(row) | logits


def find(path: Path, classes: ClassNames) -> list[Path]:
    """Return the Parquet files at a path, none if there are none; checks their columns."""
    found = listed_files(path, (".parquet",))
    files = [file for file in found if not file.name.startswith(OTHER_SPLITS)]
    for file in files:
        _columns(file)
    return files


def _columns(path: Path) -> tuple[str, str, "pyarrow.Schema"]:
    """Return the names of the columns of images and of labels, and the schema of a file."""
    import pyarrow
    from pyarrow import parquet

    try:
        facts = parquet.read_metadata(path)
        schema = facts.schema.to_arrow_schema()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: found no Parquet ({' '.join(str(error).split())})") from error
    refuse_bomb(path, ROW_BYTES * facts.num_rows)
    found = [next((n for n in names if n in schema.names), None) for names in (IMAGES, LABELS)]
    for column, names in zip(found, (IMAGES, LABELS), strict=True):
        if column is None:
            raise UserError(
                f"{path}: found columns {', '.join(schema.names)}, expected {' or '.join(names)}"
            )
    return str(found[0]), str(found[1]), schema


def open_parquet(asked: Opening) -> Arriving:
    """Return the images of Parquet files, file by file, row by row."""
    from pyarrow import parquet

    names, values, places = [], [], []
    said: dict[str, list[Any]] = {"increment": [], "weight": []}
    for file in asked.files:
        image, label, schema = _columns(file)
        known = [column for column in said if column in schema.names]
        table = parquet.read_table(file, columns=[label, *known])
        called = _names(schema, label)
        found = table[label].to_pylist()
        values += [called[value] if called else str(value) for value in found]
        for column in known:
            said[column] += table[column].to_pylist()
        opened = parquet.ParquetFile(file)
        for group in range(opened.num_row_groups):
            rows = opened.metadata.row_group(group).num_rows
            places += [(file, group, row, image) for row in range(rows)]
        names += [f"{file.name}#{row}" for row in range(len(found))]
    whole = {column: found for column, found in said.items() if len(found) == len(names)}
    return Arriving(
        names=names,
        labels=asked.labels(values),
        increments=whole.get("increment"),
        read=lambda number: _read_image(places[number], asked.channels),
        weights=whole.get("weight"),
    )


def _names(schema: "pyarrow.Schema", column: str) -> list[str]:
    """Return what the numbers of a column of labels stand for; nothing if the file does not say."""
    from datasets import ClassLabel, Features

    feature = Features.from_arrow_schema(schema)[column]
    return list(feature.names) if isinstance(feature, ClassLabel) else []


@lru_cache(maxsize=8)  # images are read nearly in order, by several threads
def _group(file: Path, group: int, column: str) -> list[Any]:
    from pyarrow import parquet

    return parquet.ParquetFile(file).read_row_group(group, columns=[column])[column].to_pylist()


def _read_image(place: tuple[Path, int, int, str], channels: int) -> Image.Image:
    file, group, row, column = place
    encoded = _group(file, group, column)[row]
    contents = encoded["bytes"] if isinstance(encoded, dict) else encoded
    if not isinstance(contents, bytes):
        raise UserError(
            f"{file}: {column}: row {row} of group {group}: found no bytes, expected images "
            "within the file"
        )
    return decode(f"{file} (row {row} of group {group})", channels, lambda _: contents)


FORM = Form(
    description="Parquet with a card, as the library datasets reads it",
    write=write,
    loading="""from datasets import load_dataset

images = load_dataset("FOLDER", "ipc10", split="train")  # the first 10 images per class""",
    files="data/k{k:03d}-*.parquet",
    find=find,
    open=open_parquet,
)
