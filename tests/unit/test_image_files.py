"""Folders of other people's images: what is read, what is left out, where links lead."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from lgd_core.base import image_files
from lgd_core.base.errors import UserError
from lgd_core.base.image_files import SUFFIXES, describe, is_image, summarise, walk

# Formats that Pillow opens and that hold no pictures as people keep them, or need other programs.
OTHERS = {
    *("BLP", "BUFR", "CUR", "DCX", "EPS", "FITS", "FLI", "FTEX", "GBR", "GRIB", "HDF5", "IM"),
    *("IPTC", "MPEG", "MSP", "PCD", "PIXAR", "WMF"),
}
ALSO = {".icb", ".vda", ".vst"}


def test_suffixes_are_those_of_pillow_s_pictures():
    Image.init()
    openable = {
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in OTHERS
    }
    assert set(SUFFIXES) == openable - ALSO


@pytest.mark.parametrize("name", ["a.jfif", "a.JPEG", "a.b.Png", "a.tga", "a.avif"])
def test_images_of_all_suffixes_are_read(name):
    assert is_image(f"cat/{name}")


@pytest.mark.parametrize("name", ["a.txt", "._a.png", ".a.jpg", "Thumbs.db", "a", "a.heic"])
def test_what_is_no_image_by_its_name_is_not(name):
    assert not is_image(f"cat/{name}")


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path in walk(root)]


def test_files_come_by_folder_then_name_and_hidden_folders_are_not_entered(tmp_path):
    root = touch(tmp_path / "cat", "b.png", "deep/a.png", "a.png", ".ipynb_checkpoints/a.png")
    assert names(root) == [".ipynb_checkpoints", "a.png", "b.png", "deep/a.png"]


def test_links_to_folders_and_files_elsewhere_are_followed(tmp_path):
    touch(tmp_path, "store/1.png", "store/more/2.png", "cat/3.png")
    (tmp_path / "cat" / "link").symlink_to("../store")
    (tmp_path / "cat" / "4.png").symlink_to("../store/1.png")
    assert names(tmp_path / "cat") == ["3.png", "4.png", "link/1.png", "link/more/2.png"]


@pytest.mark.parametrize("target", ["..", ".", "../..", "deep", "../dog"])
def test_a_link_that_leads_to_a_folder_twice_is_refused_by_its_name(tmp_path, target):
    root = touch(tmp_path / "train", "cat/deep/1.png", "dog/1.png")
    (root / "cat" / "loop").symlink_to(target)
    seen: dict = {}
    with pytest.raises(UserError, match="the same folder as") as error:  # noqa: PT012
        for folder in ("cat", "dog"):
            walk(root / folder, seen)
    assert "\n" not in str(error.value)
    assert "loop" in str(error.value)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(image_files.os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cat: cannot be read \(Permission denied\)"):
        walk(touch(tmp_path / "cat", "1.png"))


def test_what_is_left_out_is_counted_by_suffix_and_the_first_are_named():
    files = [f"cat/{i}.heic" for i in range(5)] + ["cat/Thumbs.db", "cat/notes.txt", "dog/x"]
    summary = summarise(files)
    assert {kind: group["files"] for kind, group in summary.items()} == {
        ".heic": 5,
        "no suffix": 1,
        "litter": 2,
    }
    assert describe(summary).startswith("5 of .heic (cat/0.heic, cat/1.heic, cat/2.heic, ...); ")
