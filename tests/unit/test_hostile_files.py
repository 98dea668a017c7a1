"""Files of others that are meant to harm: refused in one line, soon, and nothing in them is run."""

import contextlib
import gzip
import io
import json
import resource
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CPU
from PIL import Image
from pyarrow import parquet
from test_exchange import CLASSES, Trap, png, read_back

from lgd_core.base import bombs
from lgd_core.base.bombs import load_pt
from lgd_core.base.digests import file_digests
from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json, write_json
from lgd_core.config.external import ExternalSet
from lgd_core.config.schema import load_yaml
from lgd_core.data.archives import unpack
from lgd_core.data.arrays import mapped
from lgd_core.data.kinds import fashion_mnist
from lgd_core.diffusion.dit_checkpoint import read_checkpoint
from lgd_core.diffusion.priors import load_prior
from lgd_core.networks.pretrained import read_weights

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LAUGHS = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
MERGED = "".join(f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))


def refusal(work: Callable[[], object], seconds: float = 5) -> str:
    """Return the line of an error that comes soon, without much memory."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as error:
        work()
    assert time.monotonic() - start < seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes"
    assert "\n" not in str(error.value)
    return str(error.value)


def given(folder: Path, **keys: object) -> ExternalSet:
    return ExternalSet(str(folder), "imagewoof", 1, **keys)


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + LAUGHS,
        "a0: &a0 {x: 1, y: 2}\n" + MERGED,
        "a: [" + "1, " * 200_000 + "]",
    ],
    ids=["lists", "merged mappings", "without anchors"],
)
def test_yaml_that_means_billions_is_refused_within_a_second(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(text)
    line = refusal(lambda: load_yaml(Path("recipe.yaml")), 1 if "&" in text else 5)
    assert line.startswith("recipe.yaml: not YAML: found more than 50000 values, line ")
    assert len(line) <= 200


def test_yaml_of_a_thousand_classes_is_far_from_the_limit(tmp_path: Path) -> None:
    lines = [f"- {{wnid: n{i:08d}, index: {i}, name: class {i}}}" for i in range(1000)]
    (tmp_path / "a.yaml").write_text("classes: &c\n" + "\n".join(lines) + "\nagain: [*c, *c, *c]\n")
    assert len(load_yaml(tmp_path / "a.yaml")["classes"]) == 1000


def header(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


HUGE = header(40_000, 25_000)


def in_folder(root: Path) -> Path:
    for label, wnid in enumerate(CLASSES.wnids):
        (root / wnid).mkdir(parents=True)
        (root / wnid / "0.png").write_bytes(HUGE if label == 1 else png(label)["bytes"])
    return root


def in_parquet(root: Path) -> Path:
    images = [{"bytes": HUGE if label == 1 else png(label)["bytes"]} for label in range(3)]
    root.mkdir()
    pd.DataFrame({"image": images, "label": range(3)}).to_parquet(root / "set.parquet")
    return root


def in_tar(root: Path) -> Path:
    root.mkdir()
    with tarfile.open(root / "set.tar", "w") as tar:
        for label in range(3):
            add(tar, f"{label}.png", HUGE if label == 1 else png(label)["bytes"])
            add(tar, f"{label}.cls", str(label).encode())
    return root


def add(tar: tarfile.TarFile, name: str, contents: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(contents)
    tar.addfile(entry, io.BytesIO(contents))


def as_the_hub_keeps_it(root: Path) -> Path:
    """A snapshot whose files are links to those of the cache, as in the hub's library."""
    kept = in_parquet(root.parent / "blobs")
    root.mkdir()
    (root / "set.parquet").symlink_to(kept / "set.parquet")
    (root / "set.py").write_text("raise SystemExit('run')")
    return root


@pytest.mark.parametrize("write", [in_folder, in_parquet, in_tar, as_the_hub_keeps_it])
def test_an_image_of_a_billion_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    root = write(tmp_path / "set")
    line = refusal(lambda: read_back(given(root), tmp_path))
    assert "found a broken image (Image size (1000000000 pixels) exceeds limit" in line
    assert str(root) in line


def compressed(path: Path, value: object) -> Path:
    """Save a value as torch does, but packed, as torch reads it too."""
    torch.save(value, path.with_name("plain"))
    with (
        zipfile.ZipFile(path.with_name("plain")) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part.filename))
    path.with_name("plain").unlink()
    return path


ZEROS = torch.zeros(2**26, dtype=torch.uint8)


@pytest.mark.parametrize("read", [load_pt, read_weights, read_checkpoint])
def test_weights_of_packed_zeros_are_refused(tmp_path: Path, read: Callable) -> None:
    path = compressed(tmp_path / "a.pt", {"x": ZEROS})
    assert path.stat().st_size < 2**17
    line = refusal(lambda: read(path))
    assert line.startswith(f"{path}: found 671")
    assert "packed into" in line


@pytest.mark.parametrize("read", [load_pt, read_weights, read_checkpoint])
def test_weights_that_repeat_one_number_are_refused(tmp_path: Path, read: Callable) -> None:
    torch.save({"a": [{"x": torch.zeros(1).expand(10**6, 10**6)}]}, tmp_path / "a.pt")
    assert "found 4000000000000 bytes packed into" in refusal(lambda: read(tmp_path / "a.pt"))


def test_tensors_that_repeat_one_pixel_are_no_set(tmp_path: Path) -> None:
    pixels = torch.zeros(1).expand(3, 3, 200_000, 200_000)
    torch.save((pixels, torch.arange(3)), tmp_path / "set.pt")
    line = refusal(lambda: read_back(given(tmp_path / "set.pt"), tmp_path))
    assert "set.pt: found 1440000000024 bytes packed into" in line


def test_a_list_within_itself_is_no_endless_one(tmp_path: Path) -> None:
    own: list = [torch.zeros(2)]
    own.append(own)
    assert bombs._claimed(own) == 8
    plain = torch.arange(6.0)
    torch.save({"a": plain, "b": [plain]}, tmp_path / "a.pt")
    assert torch.equal(load_pt(tmp_path / "a.pt")["b"][0], plain)


def test_parquet_of_a_billion_rows_in_a_few_bytes_is_refused(tmp_path: Path) -> None:
    import pyarrow

    count = 3_000_000
    labels = pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int8), ["tench"])
    images = pyarrow.nulls(count, pyarrow.binary())
    table = pyarrow.table({"image": images, "label": labels})
    parquet.write_table(table, tmp_path / "set.parquet", compression="zstd")
    assert (tmp_path / "set.parquet").stat().st_size < 100_000
    line = refusal(lambda: read_back(given(tmp_path / "set.parquet"), tmp_path))
    assert "set.parquet: found 300000000 bytes packed into" in line


@pytest.mark.parametrize(
    "said",
    [
        {"formation": 10**9},
        {"formation": "2"},
        {"formation": 0},
        {"normalise": {"mean": "x", "std": [1.0] * 3}},
        {"normalise": {"mean": [0.5] * 3, "std": [0.0] * 3}},
        {"normalise": 3},
    ],
)
def test_what_a_set_says_of_itself_is_checked(tmp_path: Path, said: dict) -> None:
    torch.save((torch.zeros(3, 3, 8, 8), torch.arange(3)), tmp_path / "set.pt")
    write_json(tmp_path / "provenance.json", said)
    line = refusal(lambda: read_back(given(tmp_path), tmp_path / "out"))
    assert f"provenance.json: {next(iter(said))}" in line


@pytest.mark.parametrize("place", ["../secret.png", "a/../../secret.png", "/{root}/secret.png"])
def test_a_table_leads_to_no_file_outside_its_folder(tmp_path: Path, place: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    lines = ["file_name,label"]
    for label, name in enumerate(CLASSES.names):
        Image.new("RGB", (9, 9)).save(root / f"{label}.png")
        lines.append(f"{label}.png,{name}")
    lines.append(f"{place.format(root=tmp_path)},{CLASSES.names[0]}")
    (root / "metadata.csv").write_text("\n".join(lines))
    line = refusal(lambda: read_back(given(root), tmp_path / "out"))
    assert "metadata.csv: row 4: found " in line
    assert line.endswith("expected a file within the folder")


DEEP = "[" * 100_000


def test_json_that_is_nested_without_end_is_one_line(tmp_path: Path, fixed_folder: Path) -> None:
    (tmp_path / "a.json").write_text(DEEP)
    assert "found broken JSON" in refusal(lambda: read_json(tmp_path / "a.json"))
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        add(tar, "0.json", DEEP.encode())
    line = refusal(lambda: read_back(given(tmp_path / "set.tar"), tmp_path))
    assert "set.tar: found no tar file of samples" in line


def test_a_sparse_file_in_a_tar_is_refused(tmp_path: Path) -> None:
    """It is a terabyte of zeros in a few bytes."""
    sparse = tarfile.TarInfo("0.cls")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[483:495] = b"%011o\0" % 2**32
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "set.tar").write_bytes(bytes(block) + bytes(1024))
    line = refusal(lambda: read_back(given(tmp_path / "set.tar"), tmp_path))
    assert "0.cls is sparse" in line


def test_an_archive_of_packed_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        add(tar, "good", b"good")
        for number in range(4):
            add(tar, f"zeros{number}", bytes(2**23))
    line = refusal(lambda: unpack(tmp_path / "a.tgz", tmp_path / "raw"))
    assert line.startswith(f"{tmp_path / 'a.tgz'}: found ")
    assert "packed into" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tgz"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_in_an_archive_are_not_made(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("device")
    entry.type = kind
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.addfile(entry)
    assert "found entry 'device'" in refusal(lambda: unpack(tmp_path / "a.tgz", tmp_path / "raw"))
    assert not (tmp_path / "raw").exists()


def test_a_packed_file_of_a_data_set_is_read_no_further_than_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(fashion_mnist.FILES))
    with gzip.open(tmp_path / f"{name}.gz", "wb", compresslevel=1) as stream:
        for _ in range(16):
            stream.write(bytes(2**26))
    monkeypatch.setattr(fashion_mnist, "LARGEST", 2**20)
    line = refusal(lambda: fashion_mnist._take(tmp_path, tmp_path / "raw"), 10)
    assert "found SHA-256" in line


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_are_never_unpickled(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    save = np.save if suffix == ".npy" else np.savez
    save(path, np.array([Trap()], object))
    with pytest.raises((UserError, AttributeError)):
        mapped(path, {"files": file_digests([path])}, np.uint8, 1)
    assert "unpickled" not in capsys.readouterr().out


def test_code_beside_a_prior_is_not_run(broken_folder: Path, tmp_path: Path) -> None:
    """As a repository of the hub may have it, with keys that ask for it."""
    mark = tmp_path / "run"
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass Evil: pass\n"
    for place in ("pipeline.py", "transformer/evil.py", "vae/evil.py"):
        (broken_folder / place).write_text(code)
    for place in ("model_index.json", "transformer/config.json", "vae/config.json"):
        path = broken_folder / place
        known = json.loads(path.read_text())
        known |= {"auto_map": {"AutoModel": "evil.Evil"}, "_module": "evil", "custom": "evil.py"}
        path.write_text(json.dumps(known))
    with contextlib.suppress(UserError):
        load_prior(str(broken_folder), CPU)
    assert not mark.exists()
