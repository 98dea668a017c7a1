"""Fonts of packages and folders: which source serves, what is kept, what is said of failure."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import matplotlib
import pytest

from lgd_core.base.errors import UserError
from lgd_core.config.models.dataset import SourceConfig
from lgd_core.data.fetching import fetch

SHIPPED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PLACE = "usr/share/fonts/truetype"
NOT_DEBIAN = shutil.which("dpkg-deb") is None

# Stand-ins for Debian's tools: they answer for packages that lie in a folder of the test.
APT = """#!/bin/sh
echo "$@" >> {root}/asked
case "$*" in *update) exit 0;; esac
for word; do
  case "$word" in
    fonts-*) cp {root}/pool/"$word"_*.deb . 2>/dev/null || missing="$missing $word" ;;
  esac
done
for name in $missing; do echo "E: Unable to locate package $name" >&2; done
test -z "$missing" || exit 100
"""
QUERY = """#!/bin/sh
for name; do :; done
test -f {root}/installed/"$name" || exit 1
case "$1" in --show) printf 'installed 7.1' ;; *) cat {root}/installed/"$name" ;; esac
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put stand-ins for apt-get and dpkg-query first on the path; return where they look."""
    root = tmp_path / "debian"
    for folder in ("bin", "pool", "installed"):
        (root / folder).mkdir(parents=True)
    for name, text in (("apt-get", APT), ("dpkg-query", QUERY)):
        (root / "bin" / name).write_text(text.format(root=root))
        (root / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
    return root


def build(debian: Path, name: str, *fonts: str) -> None:
    """Put a package of some of matplotlib's fonts into the pool, with a link and a text beside."""
    tree = debian / name
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1:2.3-4\nArchitecture: all\nMaintainer: N <n@n>\n"
    (tree / "DEBIAN/control").write_text(control + "Description: fonts of a test\n")
    (tree / PLACE).mkdir(parents=True)
    (tree / PLACE / "copyright.txt").write_text("free")
    for font in fonts:
        shutil.copy(SHIPPED / font, tree / PLACE)
        (tree / PLACE / f"link-{font}").symlink_to(font)
    file = debian / "pool" / f"{name}_1%3a2.3-4_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, file], check=True, capture_output=True)


def install(debian: Path, name: str, *fonts: str) -> None:
    """Have a package listed as installed, with its fonts in a folder that others share."""
    shared = debian / "system"
    shared.mkdir(exist_ok=True)
    for font in fonts:
        shutil.copy(SHIPPED / font, shared)
    lines = [str(shared), *(str(shared / font) for font in fonts), str(debian / "gone.ttf")]
    (debian / "installed" / name).write_text("\n".join(lines) + "\n")


def bring(tmp_path: Path, *packages: str, folder: Path | None = None) -> tuple[dict, list[str]]:
    log: list[str] = []
    where = folder and str(folder)
    source = SourceConfig(kind="fonts", packages=list(packages), folder=where)
    return fetch(source, tmp_path / "data" / "raw", log.append), log


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(tmp_path: Path, *packages: str, folder: Path | None = None) -> str:
    with pytest.raises(UserError) as error:
        bring(tmp_path, *packages, folder=folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.skipif(NOT_DEBIAN, reason="builds a Debian package")
def test_packages_are_unpacked_and_their_fonts_alone_are_kept(tmp_path: Path, debian: Path) -> None:
    build(debian, "fonts-two", "cmr10.ttf", "cmss10.ttf")
    build(debian, "fonts-one", "cmtt10.ttf")
    facts, log = bring(tmp_path, "fonts-two", "fonts-one")
    assert facts["packages"] == {"fonts-one": "1:2.3-4", "fonts-two": "1:2.3-4"}
    places = {
        "cmr10.ttf": f"fonts-two/{PLACE}",
        "cmss10.ttf": f"fonts-two/{PLACE}",
        "cmtt10.ttf": f"fonts-one/{PLACE}",
    }
    expected = {f"{place}/{font}": sha256(SHIPPED / font) for font, place in places.items()}
    assert facts["fonts"] == expected
    found = [p for p in (tmp_path / "data" / "raw").rglob("*") if p.is_file()]
    assert sorted(str(p.relative_to(tmp_path / "data" / "raw")) for p in found) == sorted(expected)
    assert "downloaded: fonts-one 1:2.3-4" in log
    assert not [p for p in (tmp_path / "data").iterdir() if p.name != "raw"]


@pytest.mark.skipif(NOT_DEBIAN, reason="builds a Debian package")
def test_an_installed_package_is_copied_and_its_neighbours_are_not(
    tmp_path: Path, debian: Path
) -> None:
    build(debian, "fonts-new", "cmtt10.ttf")
    install(debian, "fonts-there", "cmr10.ttf")
    install(debian, "fonts-other", "cmss10.ttf")
    facts, log = bring(tmp_path, "fonts-there", "fonts-new")
    assert facts["packages"] == {"fonts-new": "1:2.3-4", "fonts-there": "7.1"}
    assert sorted(Path(name).name for name in facts["fonts"]) == ["cmr10.ttf", "cmtt10.ttf"]
    assert log == ["installed: fonts-there 7.1", "downloaded: fonts-new 1:2.3-4"]
    assert facts["served_by"] == "installed packages: 1, apt-get download: 1"
    assert "fonts-there" not in (debian / "asked").read_text()


def test_a_package_whose_fonts_are_gone_from_the_disk_is_downloaded(
    tmp_path: Path, debian: Path
) -> None:
    install(debian, "fonts-bare")
    assert "fonts-bare" in refusal(tmp_path, "fonts-bare")
    assert "download fonts-bare" in (debian / "asked").read_text()


def test_a_package_that_is_not_to_be_had_is_one_line_with_what_was_tried(
    tmp_path: Path, debian: Path
) -> None:
    text = refusal(tmp_path, "fonts-nope")
    for part in ("fonts-nope", "installed: no", "apt-get download", "source.folder"):
        assert part in text
    asked = (debian / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked] == ["fonts-nope", "update", "fonts-nope"]
    assert all("Acquire::Retries=0" in line for line in asked)
    assert "Dir::State::Lists" not in asked[0], "the lists that are there first"
    assert "Dir::State::Lists" in asked[2]


def test_without_apt_the_line_says_so(
    tmp_path: Path, debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = refusal(tmp_path, "fonts-nope", "fonts-other")
    for part in ("no source works for fonts-nope and 1 more", "'apt-get'", "source.folder"):
        assert part in text


@pytest.mark.skipif(NOT_DEBIAN, reason="builds a Debian package")
def test_a_package_without_fonts_is_refused_by_name(tmp_path: Path, debian: Path) -> None:
    build(debian, "fonts-empty")
    text = refusal(tmp_path, "fonts-empty")
    assert text == "package fonts-empty 1:2.3-4: found no font file, expected " + (
        ".ttf, .otf, .ttc, .otc"
    )


def test_a_folder_stands_in_for_packages_and_is_read_where_it_is(
    tmp_path: Path, debian: Path
) -> None:
    own = tmp_path / "own"
    (own / "deeper").mkdir(parents=True)
    shutil.copy(SHIPPED / "cmr10.ttf", own / "deeper" / "B.TTF")
    (own / "._B.ttf").touch()
    (own / "notes.txt").touch()
    facts, _ = bring(tmp_path, "fonts-nope", folder=own)
    assert facts["served_by"] == f"configured folder {own}"
    assert facts["fonts"] == {"deeper/B.TTF": sha256(SHIPPED / "cmr10.ttf")}
    assert not (debian / "asked").exists()


def test_a_folder_without_fonts_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, folder=tmp_path / "nowhere").startswith(f"{tmp_path / 'nowhere'}: ")
