"""Files outside results/: which changes count as changes."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from lgd_core.base import listings
from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.listings import Listing, Made, Reading, identity_of

RECIPE = {"stage": "prepare", "sizes": (1, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "1.png").write_bytes(name.encode())
    return tmp_path / "mine"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "listing.json"


def listing(folder: Path, published: bool = False) -> Listing:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Listing({str(path.relative_to(folder)): str(path) for path in files}, published)


def read(folder: Path, record: Path, published: bool = False) -> str:
    """Read a folder as a stage does; return its identity."""
    found = listing(folder, published)
    identity = identity_of(found, record)
    reading = Reading(found)
    for path in found.files.values():
        reading.read(path)
    reading.note(identity, RECIPE, record)
    return identity


def touch(path: Path) -> None:
    os.utime(path, ns=(path.stat().st_mtime_ns + 5, path.stat().st_mtime_ns + 5))


def test_a_touched_moved_or_copied_folder_is_the_same(folder, record):
    before = read(folder, record)
    touch(folder / "a" / "1.png")
    assert identity_of(listing(folder), record) == before
    moved = folder.rename(folder.parent / "moved")
    assert identity_of(listing(moved), record) == before
    copied = shutil.copytree(moved, folder, copy_function=shutil.copyfile)
    assert identity_of(listing(copied), record) == before


@pytest.mark.parametrize("change", ["edited", "added", "removed", "renamed", "same size"])
def test_a_changed_folder_is_another_one(folder, record, change):
    before, file = read(folder, record), folder / "a" / "1.png"
    if change == "added":
        (folder / "a" / "2.png").write_bytes(b"a")
    elif change == "removed":
        file.unlink()
    elif change == "renamed":
        file.rename(folder / "a" / "0.png")
    else:
        file.write_bytes(b"aa" if change == "edited" else b"c")
        touch(file)
    changed = identity_of(listing(folder), record)
    assert changed != before
    assert read(folder, record) == changed
    assert identity_of(listing(folder), record) == changed


def test_touched_files_are_read_once(folder, record, monkeypatch):
    read(folder, record)
    touch(folder / "a" / "1.png")
    hashed = []
    real = listings.sha256
    monkeypatch.setattr(listings, "sha256", lambda path: hashed.append(path) or real(path))
    for _ in range(3):
        identity_of(listing(folder), record)
    assert hashed == [str(folder / "a" / "1.png")]


def test_published_sets_are_known_by_names_alone(folder, record):
    before = read(folder, record, published=True)
    (folder / "a" / "1.png").write_bytes(b"longer")
    assert identity_of(listing(folder, published=True), record) == before
    (folder / "a" / "2.png").touch()
    assert identity_of(listing(folder, published=True), record) != before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": "x"}'])
def test_a_damaged_record_is_none(folder, record, content):
    before = identity_of(listing(folder), record)
    record.write_text(content)
    assert identity_of(listing(folder), record) == before


def test_a_file_that_changes_while_it_is_read_is_named(folder, record):
    reading = Reading(listing(folder))
    touch(folder / "b" / "1.png")
    with pytest.raises(UserError, match=r"b/1\.png: changed while it was read"):
        reading.note("identity", RECIPE, record)
    assert not record.exists()


def gone() -> Listing:
    raise MissingFolderError("mine: no folder")


def test_a_folder_that_is_gone_is_not_needed_where_all_is_made(folder, record, tmp_path):
    output = tmp_path / "images.npy"
    made = Made(str(record), [str(output)], RECIPE)
    before = read(folder, record)
    with pytest.raises(MissingFolderError):
        made.identity(gone)
    output.touch()
    assert made.identity(gone) == before
    with pytest.raises(MissingFolderError):
        Made(str(record), [str(output)], RECIPE | {"sizes": (1, 3)}).identity(gone)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE])
def test_what_the_system_does_not_give_is_one_line(folder, monkeypatch, number):
    def refuse(self: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match=os.strerror(number)) as error:
        Reading(listing(folder)).read(folder / "a" / "1.png")
    assert str(error.value).startswith(str(folder / "a" / "1.png"))


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.fixture
def published(folder: Path, record: Path) -> Made:
    """A stage that has read a published set, with its record and its output."""
    found = Listing(listing(folder).files, published=True, folders=times(folder))
    reading = Reading(found)
    reading.note(identity_of(found, record), RECIPE, record)
    (record.parent / "made").touch()
    return Made(str(record), [str(record.parent / "made")], RECIPE)


def test_published_sets_are_not_listed_again_while_their_folders_stay(folder, published):
    def find() -> Listing:
        calls.append("listed")
        return Listing(listing(folder).files, published=True, folders=times(folder))

    calls = []
    before = published.identity(find, lambda: times(folder))
    assert not calls
    touch(folder / "a")  # as by copying: other times, the same names
    assert published.identity(find, lambda: times(folder)) == before
    assert published.identity(find, lambda: times(folder)) == before
    assert calls == ["listed"], "the new times are remembered"
    (folder / "a" / "2.png").touch()
    assert published.identity(find, lambda: times(folder)) != before
    assert len(calls) == 2


def test_a_published_set_is_listed_where_its_stage_is_not_finished(folder, published):
    (folder.parent / "made").unlink()
    found = Listing(listing(folder).files, published=True, folders=times(folder))
    calls = []
    published.identity(lambda: calls.append("listed") or found, lambda: times(folder))
    assert calls
