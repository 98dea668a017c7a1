"""Tar files as the library WebDataset writes and reads them: KEY.png, KEY.cls and KEY.json.

Read are the tar files of any program that names parts so; KEY.json may say the increment.
"""

import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lgd_core.base.decoding import decode
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.base.image_files import is_image
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.form import Arriving, Form, Opening
from lgd_core.exchange.leaving import Leaving, Row, in_parts
from lgd_core.exchange.listing import listed_files

PER_FILE = 4096
LABEL, MORE = ".cls", ".json"


def write(folder: Path, leaving: Leaving) -> None:
    """Write tar files of one increment each, without times, so that bytes stay the same."""
    from webdataset.writer import TarWriter

    for name, rows in in_parts(leaving.rows, PER_FILE):
        path = folder / "data" / f"{name}.tar"
        if path.exists():
            continue
        with (
            atomic(path) as temporary,
            open(temporary, "wb") as stream,
            TarWriter(stream, mtime=0, user="", group="") as writer,
        ):
            for row in rows:
                writer.write(_as_sample(leaving, row))


def _as_sample(leaving: Leaving, row: Row) -> dict[str, Any]:
    logits = {} if leaving.logits is None else {"logits": leaving.logits_of(row)}
    more = leaving.described(row) | logits
    return {"__key__": row.key, "png": leaving.encoded(row), "cls": row.label, "json": more}


def find(path: Path, classes: ClassNames) -> list[Path]:
    """Return the tar files at a path, none if there are none."""
    return listed_files(path, (".tar",))


@dataclass
class Sample:
    """A sample of a tar file: where its image lies, its label and more as they are written."""

    file: Path
    name: str
    image: tuple[int, int] | None = None
    label: str | None = None
    more: dict[str, Any] = field(default_factory=dict[str, Any])

    def encoded(self) -> bytes:
        """Return the image as its file has it."""
        if self.image is None:
            raise UserError(f"{self.file}: {self.name}: found no image, expected one")
        offset, size = self.image
        with open(self.file, "rb") as stream:
            stream.seek(offset)
            return stream.read(size)


def open_tars(asked: Opening) -> Arriving:
    """Return the images of tar files, file by file, in the files' order."""
    samples = [sample for file in asked.files for sample in _samples(file)]
    for sample in samples:
        if sample.image is None or sample.label is None:
            raise UserError(
                f"{sample.file}: {sample.name}: found no {'image' if sample.label else LABEL}, "
                f"expected an image and {LABEL} of every sample"
            )
    values = [str(sample.more.get("wnid", sample.label)) for sample in samples]
    increments, weights = (_said(samples, name) for name in ("increment", "weight"))

    def decoded(number: int) -> Image.Image:
        sample = samples[number]
        return decode(f"{sample.file} ({sample.name})", asked.channels, lambda _: sample.encoded())

    return Arriving(
        names=[f"{sample.file.name}#{sample.name}" for sample in samples],
        labels=asked.labels(values),
        increments=increments,
        read=decoded,
        weights=weights,
    )


def _said(samples: list[Sample], name: str) -> list[Any] | None:
    """Return what all samples say under a name; None unless all do."""
    found = [sample.more[name] for sample in samples if name in sample.more]
    return found if len(found) == len(samples) else None


def _samples(path: Path) -> list[Sample]:
    """Return the samples of a tar file in its order; raises UserError for what is none."""
    samples: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                if member.issparse():
                    raise tarfile.TarError(f"{member.name} is sparse")
                folder, _, name = member.name.rpartition("/")
                stem, dot, suffix = name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                sample = samples.setdefault(key, Sample(path, key))
                if is_image(f"{key}{dot}{suffix}"):
                    sample.image = member.offset_data, member.size
                elif dot + suffix in (LABEL, MORE):
                    text = _text(tar, member)
                    if dot + suffix == LABEL:
                        sample.label = text.strip()
                    else:
                        sample.more = dict(json.loads(text))
    except (tarfile.TarError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: found no tar file of samples ({error})") from error
    return list(samples.values())


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    opened = tar.extractfile(member)
    return opened.read().decode() if opened else ""


FORM = Form(
    description="tar files, as the library WebDataset reads them",
    write=write,
    loading="""import glob
import webdataset

tars = sorted(glob.glob("FOLDER/data/*.tar"))  # k000-* alone: the first increment
images = webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("png", "cls")""",
    files="data/k{k:03d}-*.tar",
    find=find,
    open=open_tars,
)
