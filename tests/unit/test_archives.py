"""fast.ai's archives: where they come from, what they may contain, what is said of them."""

import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from trees import WOOF, fastai_tree, read_split, settings

from lgd_core.base.errors import UserError
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.config.sources import images_root
from lgd_core.data import archives
from lgd_core.data.archives import unpack
from lgd_core.data.fetching import fetch
from lgd_core.data.kinds.fastai import NOTE
from lgd_core.data.real_images import prepare


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pack a tree as imagewoof2.tgz and take its digest for the published one."""
    fastai_tree(tmp_path / "imagewoof2", sorted(WOOF))
    path = tmp_path / "archives" / "imagewoof2.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        tar.add(tmp_path / "imagewoof2", "imagewoof2")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(archives.ARCHIVES, "imagewoof2", (path.stat().st_size, digest))
    return path


def bring(folder: Path | None, raw: Path) -> dict[str, str]:
    source = SourceConfig(kind="fastai", archive="imagewoof2", folder=folder and str(folder))
    return fetch(source, raw, print)


def test_published_digests_are_whole() -> None:
    assert archives.ARCHIVES.keys() == {"imagenette2", "imagewoof2"}
    for size, digest in archives.ARCHIVES.values():
        assert size > 10**9
        assert len(bytes.fromhex(digest)) == 32


@pytest.mark.parametrize("given", ["file", "folder of it", "unpacked", "folder of unpacked"])
def test_a_copy_on_disk_serves(tmp_path: Path, archive: Path, given: str) -> None:
    folder = {
        "file": archive,
        "folder of it": archive.parent,
        "unpacked": tmp_path / "imagewoof2",
        "folder of unpacked": tmp_path,
    }[given]
    facts = bring(folder, tmp_path / "raw")
    asked = settings("fastai", folder)
    root = images_root(asked.source, tmp_path / "raw")
    prepare("w", asked, root, tmp_path / "data", 1, print)
    assert read_split(tmp_path / "data", "train")[1].bincount().tolist() == [4] * 10
    assert facts["served_by"].split()[0] == ("folder" if "unpacked" in given else "archive")
    assert facts["note"] == NOTE
    assert "do not compare" in NOTE


def test_a_download_is_checked_and_unpacked(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ADDRESS", f"file://{archive.parent}/{{}}.tgz")
    facts = bring(None, tmp_path / "raw")
    assert facts["served_by"].startswith("download file://")
    root = images_root(settings("fastai", None).source, tmp_path / "raw")
    assert (root / "train" / "n02111889").is_dir()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["imagewoof2"]


def test_another_size_or_digest_is_refused(tmp_path: Path, archive: Path) -> None:
    good = archive.read_bytes()
    archive.write_bytes(good[:-1])
    with pytest.raises(UserError, match=f"found {len(good) - 1} bytes, expected {len(good)}"):
        bring(archive, tmp_path / "raw")
    archive.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(UserError, match=r"found SHA-256 .*, expected"):
        bring(archive, tmp_path / "raw")
    assert not list((tmp_path / "raw").iterdir())


def test_an_address_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ADDRESS", "http://127.0.0.1:9/{}.tgz")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"cannot be reached.*source\.folder"):
        bring(None, tmp_path / "raw")
    assert time.monotonic() - start < 20


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither imagewoof2 nor imagewoof2\.tgz"):
        bring(tmp_path, tmp_path / "raw")


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "bad",
    [
        entry("../escaped"),
        entry("a/../../escaped"),
        entry("/tmp/escaped"),
        entry("link", tarfile.SYMTYPE, "../../escaped"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("link", tarfile.LNKTYPE, "../escaped"),
        entry("pipe", tarfile.FIFOTYPE),
    ],
    ids=["parent", "nested", "absolute", "link out", "link to root", "hard link", "pipe"],
)
@pytest.mark.parametrize("python", ["3.11.2", "3.11.4"])
def test_an_entry_that_escapes_is_refused_and_nothing_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: tarfile.TarInfo, python: str
) -> None:
    if python == "3.11.2":  # of Debian 12, which has no filters
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    path, folder = tmp_path / "a.tgz", tmp_path / "deep" / "raw"
    with tarfile.open(path, "w:gz") as tar:
        good = entry("good")
        good.size = 4
        tar.addfile(good, io.BytesIO(b"good"))
        tar.addfile(bad)
    with pytest.raises(UserError, match=f"a.tgz: found entry '{bad.name}'") as error:
        unpack(path, folder)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not list((tmp_path / "deep").iterdir())


def test_what_is_unpacked_is_ours_alone_without_python_s_filter_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, mode in {"program": 0o6777, "closed": 0}.items():
            theirs = entry(name)
            theirs.mode, theirs.uid, theirs.gid = mode, 12345, 12345
            tar.addfile(theirs)
    unpack(path, tmp_path / "raw")
    for name, mode in {"program": 0o755, "closed": 0o600}.items():
        found = (tmp_path / "raw" / name).stat()
        assert (found.st_mode & 0o7777, found.st_uid) == (mode, os.getuid())


@pytest.mark.parametrize("damage", ["truncated", "no archive"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, archive: Path, damage: str) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"moved")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
