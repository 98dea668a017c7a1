"""Image files of every kind, decoded and brought to one size."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

from lgd_core.base.errors import BrokenFileError
from lgd_core.base.image_files import read_bytes

# What Pillow's decoders raise for files that are cut short or are not what they say.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def decode(
    path: str | Path, channels: int, read: Callable[[str | Path], bytes] = read_bytes
) -> Image.Image:
    """Decode an image file as 8-bit grey (1 channel) or RGB (3), whatever its name and mode.

    Transparency is dropped, and of several frames all but the first. The orientation in EXIF is not
    applied: the training pipelines whose numbers we compare with see ImageNet as its pixels are
    stored. Raises BrokenFileError that names a file which does not decode; ``read`` raises
    UserError where the file cannot even be read.
    """
    contents = read(path)
    try:
        with Image.open(io.BytesIO(contents)) as image:
            eight = _eight_bits(image)
            # By way of RGBA, since Pillow warns of palettes with transparency otherwise.
            if eight.mode == "P" and "transparency" in eight.info:
                eight = eight.convert("RGBA")
            return eight.convert("L" if channels == 1 else "RGB")
    except BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        # Pillow describes what it was given, which says nothing of the file.
        reason = re.sub(r" <_io.BytesIO object at \w+>", "", reason).replace(" file", "")
        raise BrokenFileError(
            f"{path}: found a broken image ({reason}), expected one that decodes"
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of whole numbers or floats, which Pillow would clip to 0 ... 255, as 8-bit.

    Of 16 bits the upper 8 are kept. Wider numbers do not say of themselves which are white: those
    up to 255 are taken for 8 bits, those up to 65535 for 16, and floats up to 1 for shares of 255.
    Raises ValueError for numbers below or above.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= (255 if image.mode == "F" else 65535)):
        raise ValueError(f"pixels from {low:g} to {high:g}, of which none is known to be white")
    if image.mode == "F":
        return Image.fromarray(np.rint(pixels * (255 if high <= 1 else 1)).astype(np.uint8))
    wide = image.mode.startswith("I;16") or high > 255
    return Image.fromarray((pixels >> (8 if wide else 0)).astype(np.uint8))


def fit(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 (C, size, size): short side resized, bilinear with antialias, centre-cropped."""
    # torchvision says that it resizes tensors, but takes images too.
    resized = resize(image, [size])  # pyright: ignore[reportArgumentType]
    return pil_to_tensor(center_crop(resized, [size, size])).numpy()
