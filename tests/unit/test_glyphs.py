"""Letters from fonts: what is drawn, what is left out, families that are never split."""

import builtins
import errno
import io
import os
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFont
from trees import read_split, wanted

from lgd_core.base.errors import UserError
from lgd_core.base.image_files import read_bytes
from lgd_core.data.glyphs import Letters, draw_face, draw_letters, family_of
from lgd_core.data.kind import Files
from lgd_core.data.parts import hold_out_families
from lgd_core.data.real_images import prepare

SHIPPED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTERS = list("ABCDEFGHIJ")


def source(**changes: object) -> dict:
    keys = {"kind": "fonts", "characters": LETTERS, "exclude": [], "test_fraction": 0.2}
    return keys | {"min_distance": 0.02, "validation_fraction": 0.2} | changes


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """Return a folder of some of matplotlib's fonts: DejaVu, Computer Modern, STIX, symbols."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    for name in ("DejaVuSans", "DejaVuSerif", "cmr10", "cmss10", "cmtt10", "STIXGeneral"):
        shutil.copy(SHIPPED / f"{name}.ttf", folder)
    return folder


def drawn(folder: Path, **changes: object) -> tuple[Letters, list[str]]:
    """Return the letters of a folder, and what was left out of them."""

    def refuse(error: UserError) -> None:
        raise error

    left_out: list[str] = []
    keys, files = source(**changes), Files(read_bytes, refuse, left_out.append)
    drawing = keys["characters"], 28, keys["exclude"], keys["min_distance"]
    return draw_letters(folder, *drawing, files), left_out


def prepared(folder: Path, data: Path, **changes: object) -> dict:
    image = {"size": 28, "channels": 1}
    asked = wanted(source=source(**changes), classes=LETTERS, image=image)
    return prepare("glyphs", asked, folder, data, 2, print)


def test_letters_fill_the_square_but_for_a_margin_and_are_centred(fonts: Path) -> None:
    letters, left_out = drawn(fonts)
    assert letters.images.shape == (60, 28, 28)
    assert letters.images.dtype == np.uint8
    assert np.bincount(letters.labels).tolist() == [6] * 10
    assert not left_out
    for image in letters.images:
        assert image.max() > 150
        left, top, right, bottom = Image.fromarray(image).getbbox()
        assert max(right - left, bottom - top) == 24
        assert abs(left - (28 - right)) <= 1
        assert abs(top - (28 - bottom)) <= 1


def test_the_letter_is_the_one_asked_for(fonts: Path) -> None:
    letters, _ = drawn(fonts, exclude=["cm*", "STIX*", "*Serif*"], characters=["I", "O"])
    bar, ring = letters.images
    columns = np.flatnonzero(bar.max(0) > 127)
    assert len(columns) < 8, "a thin bar keeps its shape"
    assert (bar[4:24, columns[1]] > 127).all()
    assert ring[14, 14] == 0
    assert ring[14, :8].max() > 127
    assert ring[14, 20:].max() > 127


def test_fonts_without_a_letter_are_left_out_and_say_which(fonts: Path) -> None:
    shutil.copy(SHIPPED / "STIXSizOneSymReg.ttf", fonts)
    letters, left_out = drawn(fonts)
    assert len(letters.labels) == 60
    assert left_out == [f"{fonts / 'STIXSizOneSymReg.ttf'}: lacks ABCDEFGHIJ"]
    # The glyph that stands for what is missing has ink here, and is still not taken for a letter.
    letters, left_out = drawn(fonts, characters=["A", "Ж"], exclude=["STIX*"])
    assert set(letters.families) == {"dejavu"}
    assert left_out == [f"{fonts / name}.ttf: lacks Ж" for name in ("cmr10", "cmss10", "cmtt10")]


def test_a_face_that_draws_all_characters_alike_is_no_letter_font(fonts: Path) -> None:
    font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), 112)
    same = draw_face(font, ["A", "Α"], 28)  # a Greek alpha
    assert same == "draws different characters alike"
    assert draw_face(font, ["A", "B"], 28).shape == (2, 28, 28)


def test_images_met_before_are_dropped_and_close_ones_with_them(fonts: Path) -> None:
    first, _ = drawn(fonts)
    shutil.copy(fonts / "DejaVuSans.ttf", fonts / "Zwilling.ttf")
    again, _ = drawn(fonts, min_distance=0)
    assert np.array_equal(again.images, first.images)
    coarse, _ = drawn(fonts, min_distance=0.25)
    assert len(coarse.labels) < len(first.labels)
    for label in range(10):
        images = coarse.images[coarse.labels == label].astype(float) / 255
        for i, image in enumerate(images):
            for other in images[:i]:
                assert ((image - other) ** 2).mean() ** 0.5 > 0.25
        assert np.array_equal(images[0], first.images[first.labels == label][0] / 255)


def test_excluded_files_are_not_opened(fonts: Path) -> None:
    (fonts / "dingbats.ttf").write_bytes(b"no font")
    assert len(drawn(fonts, exclude=["ding*.ttf"])[0].labels) == 60


@pytest.mark.parametrize("damage", [b"", b"no font at all", None])
def test_a_broken_font_stops_the_run_by_its_name_or_is_listed(
    fonts: Path, tmp_path: Path, damage: bytes | None
) -> None:
    whole = (fonts / "DejaVuSans.ttf").read_bytes()
    (fonts / "broken.ttf").write_bytes(whole[:20_000] if damage is None else damage)
    with pytest.raises(UserError, match=r"found a broken font.*source\.skip_broken") as error:
        prepared(fonts, tmp_path / "data")
    assert str(fonts / "broken.ttf") in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()
    facts = prepared(fonts, tmp_path / "data", skip_broken=True)
    assert [line.split(":")[0] for line in facts["skipped"]] == [str(fonts / "broken.ttf")]
    assert sum(sum(counts.values()) for counts in facts["images"].values()) == 60


def test_no_font_with_the_letters_is_one_line(tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "STIXSizOneSymReg.ttf", tmp_path)
    with pytest.raises(UserError, match="found no font that draws ABCDEFGHIJ"):
        drawn(tmp_path)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("Noto Sans Display", "noto"),
        ("LM Roman 10", "lm"),
        ("LMRoman12", "lmroman"),
        ("8-bit Limit", "bit"),
        ("Études", "études"),
        ("0815", "0815"),
    ],
)
def test_families_are_first_words(name: str, family: str) -> None:
    assert family_of(name) == family


def test_splits_share_no_family_and_arrays_are_the_same_again(fonts: Path, tmp_path: Path) -> None:
    facts = prepared(fonts, tmp_path / "data")
    whole, _ = drawn(fonts)
    owners = {
        (label, image.tobytes()): family
        for image, label, family in zip(whole.images, whole.labels, whole.families, strict=True)
    }
    families = {}
    for split in ("train", "validation", "test"):
        images, labels = read_split(tmp_path / "data", split)
        assert images.shape[1:] == (1, 28, 28)
        pairs = zip(labels.tolist(), images.numpy(), strict=True)
        families[split] = {owners[label, image.tobytes()] for label, image in pairs}
        assert families[split], f"the key leaves {split} a family"
        assert facts["families"][split] == len(families[split])
    assert sum(map(len, families.values())) == len(set().union(*families.values())) == 5
    shutil.copytree(fonts, tmp_path / "copied")
    prepared(tmp_path / "copied", tmp_path / "again")
    for file in (tmp_path / "data").glob("*.npy"):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_family_s_place_is_its_own_and_the_share_is_held_on_average() -> None:
    names = np.array([f"family {i // 2}" for i in range(4000)])
    kept, held = hold_out_families(names, 0.15, "glyphs", "test")
    assert sorted(kept.tolist() + held.tolist()) == list(range(4000))
    assert set(names[kept]).isdisjoint(names[held])
    assert len(held) == pytest.approx(600, abs=100)
    fewer = names[1000:]
    assert set(fewer[hold_out_families(fewer, 0.15, "glyphs", "test")[1]]) <= set(names[held])
    other = hold_out_families(names, 0.15, "glyphs")[1]
    assert held.tolist() != other.tolist()


def test_a_font_that_the_system_does_not_give_is_no_broken_font(
    fonts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open

    def refuse(file: object, *args: object, **options: object) -> object:
        if str(file).endswith("cmr10.ttf"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(file))
        return real(file, *args, **options)

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(UserError, match=r"cmr10\.ttf: cannot be read \(Too many open files\)"):
        prepared(fonts, tmp_path / "data", skip_broken=True)
