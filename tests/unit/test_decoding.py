"""Image files as people have them: every mode, odd names, broken ones."""

import builtins
import errno
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lgd_core.base.decoding import decode, fit
from lgd_core.base.errors import BrokenFileError, UserError

RED = (200, 30, 40)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def colour(path: Path) -> list[float]:
    """Return the mean colour of a decoded file of 12 x 20 pixels."""
    image = decode(path, 3)
    assert (image.mode, image.size) == ("RGB", (20, 12))
    return np.asarray(image).mean((0, 1)).tolist()


@pytest.fixture
def red() -> Image.Image:
    return Image.new("RGB", (20, 12), RED)


def test_a_cmyk_jpeg_keeps_its_colour(tmp_path: Path, red: Image.Image) -> None:
    path = saved(tmp_path / "a.JPEG", red.convert("CMYK"), quality=100)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    assert colour(path) == pytest.approx(RED, abs=4)


def test_a_grey_jpeg_has_three_equal_channels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.JPEG", Image.new("L", (20, 12), 90), quality=100)
    assert colour(path) == pytest.approx([90, 90, 90], abs=1)


def test_a_png_named_jpeg_is_a_png(tmp_path: Path, red: Image.Image) -> None:
    assert colour(saved(tmp_path / "a.JPEG", red, format="PNG")) == list(RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L"])
def test_other_modes_decode(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (20, 12), "white").convert(mode))
    assert colour(path) == [255, 255, 255]


def test_a_palette_with_transparency_raises_no_warning(tmp_path: Path, red: Image.Image) -> None:
    path = saved(tmp_path / "a.png", red.convert("P"), transparency=bytes(range(100)))
    assert colour(path) == pytest.approx(RED, abs=30)


def test_sixteen_bits_become_the_upper_eight(tmp_path: Path) -> None:
    wide = Image.fromarray(np.full((12, 20), 100 * 256 + 7, np.uint16))
    assert colour(saved(tmp_path / "a.png", wide)) == [100, 100, 100]


def test_grey_is_asked_for(tmp_path: Path, red: Image.Image) -> None:
    assert decode(saved(tmp_path / "a.png", red), 1).mode == "L"


def test_orientation_is_not_applied(tmp_path: Path, red: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert colour(saved(tmp_path / "a.jpg", red, exif=exif)) == pytest.approx(RED, abs=4)


def test_nonsense_for_exif_decodes(tmp_path: Path, red: Image.Image) -> None:
    path = saved(tmp_path / "a.jpg", red, exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff nonsense")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as data.prepare does for Pillow's own
        assert colour(path) == pytest.approx(RED, abs=4)


def bomb() -> bytes:
    """Return a PNG of a few bytes that claims 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("damage", ["truncated", "truncated png", "text", "empty", "bomb"])
def test_a_broken_image_is_one_line_with_its_name(tmp_path: Path, damage: str) -> None:
    path, noise = tmp_path / "broken.JPEG", np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    kind = "PNG" if "png" in damage else "JPEG"
    Image.fromarray(noise.astype(np.uint8)).save(path, format=kind)
    contents = {"text": b"<html>moved</html>", "empty": b"", "bomb": bomb()}
    path.write_bytes(contents.get(damage, path.read_bytes()[:1500]))
    with pytest.raises(UserError, match="found a broken image") as error:
        decode(path, 3)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(20, 40), (40, 20), (20, 20), (5, 9), (8, 8)])
def test_the_short_side_is_fitted_and_the_middle_kept(shape: tuple[int, int]) -> None:
    height, width = shape
    ramp = np.linspace(0, 255, max(shape)).astype(np.uint8)
    pixels = np.broadcast_to(ramp if width >= height else ramp[:, None], shape)
    array = fit(Image.fromarray(np.ascontiguousarray(pixels)), 8)
    assert array.shape == (1, 8, 8)
    assert array.dtype == np.uint8
    assert array.mean() == pytest.approx(127.5, abs=6)
    if height == width:
        return
    line = array[0, 0] if width > height else array[0, :, 0]
    spread = 255 * min(shape) / (max(shape) - 1)
    assert line[-1] - line[0] == pytest.approx(spread * 7 / 8, abs=8)


@pytest.mark.parametrize(
    ("pixels", "value"),
    [
        (np.full((12, 20), 200, np.int32), 200),
        (np.full((12, 20), 200 * 256 + 9, np.int32), 200),
        (np.full((12, 20), 0.5, np.float32), 128),
        (np.full((12, 20), 200, np.float32), 200),
        (np.full((12, 20), 100 * 256 + 7, np.uint16), 100),
        (np.full((12, 20), 100 * 256 + 7, ">u2"), 100),
    ],
    ids=["32 bits of 8", "32 bits of 16", "floats to 1", "floats to 255", "16 bits", "big endian"],
)
def test_numbers_of_more_than_eight_bits_keep_their_brightness(
    tmp_path: Path, pixels: np.ndarray, value: int
) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(pixels))
    assert colour(path) == [value] * 3
    assert np.asarray(decode(path, 1)).max() == value


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((12, 20), -5, np.int32),
        np.full((12, 20), 70_000, np.int32),
        np.full((12, 20), -0.5, np.float32),
        np.full((12, 20), 300.0, np.float32),
        np.full((12, 20), np.nan, np.float32),
    ],
    ids=["negative", "more than 16 bits", "negative floats", "large floats", "nan"],
)
def test_numbers_that_no_scale_fits_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(pixels))
    with pytest.raises(BrokenFileError, match=r"a\.tif: found a broken image \(pixels from"):
        decode(path, 1)


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, red: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    red.save(path, save_all=True, append_images=[Image.new("RGB", (20, 12), "blue")], **options)
    with Image.open(path) as image:
        assert image.n_frames == 2
    assert colour(path) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOENT]
)
def test_a_file_that_the_system_does_not_give_is_no_broken_image(
    tmp_path: Path, red: Image.Image, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = saved(tmp_path / "a.png", red)

    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(UserError, match=os.strerror(number)) as error:
        decode(path, 3)
    assert not isinstance(error.value, BrokenFileError)
    assert str(error.value).startswith(f"{path}: cannot be read")
