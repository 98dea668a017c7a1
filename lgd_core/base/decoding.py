"""Decoding of image files of every format, and resizing to one size."""

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lgd_core.base.errors import BrokenFileError
from lgd_core.base.image_files import read_bytes

# Errors of Pillow's decoders for files that are truncated or of another format than they claim.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def decode(
    path: str | Path, channels: int, read: Callable[[str | Path], bytes] = read_bytes
) -> Image.Image:
    """Decode an image file as 8-bit grey (1 channel) or RGB (3), whatever its name and mode.

    Transparency is dropped, and so are all frames but the first. The orientation in EXIF is not
    applied: the training pipelines whose numbers we compare with do not apply it either. Raises
    BrokenFileError naming a file that cannot be decoded; ``read`` raises UserError if the file
    cannot be read.
    """
    contents = read(path)
    try:
        with Image.open(io.BytesIO(contents)) as image:
            eight = _eight_bits(image)
            # Via RGBA: Pillow warns if a palette with transparency is converted directly.
            if eight.mode == "P" and "transparency" in eight.info:
                eight = eight.convert("RGBA")
            return eight.convert("L" if channels == 1 else "RGB")
    except BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        # Pillow's message names the buffer that it was given, not the file.
        reason = re.sub(r" <_io.BytesIO object at \w+>", "", reason).replace(" file", "")
        raise BrokenFileError(
            f"{path}: found a broken image ({reason}), expected one that decodes"
        ) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of integers or floats, which Pillow would clip to 0 ... 255, as 8-bit.

    From 16-bit images the upper 8 bits are kept. 32-bit images and floats do not define which
    value is white. If no 32-bit pixel is above 255, pixels count as 8-bit, otherwise as 16-bit.
    If no float is above 1, floats are multiplied by 255, otherwise they are only rounded. Raises
    ValueError for pixels below 0, 32-bit pixels above 65535 and floats above 255.
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


def fit(image: Image.Image, size: int, short: int | None = None) -> np.ndarray:
    """Return uint8 (C, size, size), the centre of an image.

    Its short side is resized to ``short``, or else to ``size``, bilinear with antialias.
    """
    # Two seconds, which the many jobs that decode nothing need not spend.
    from torchvision.transforms.v2.functional import (  # pyright: ignore[reportMissingTypeStubs]
        center_crop,
        pil_to_tensor,
        resize,
    )

    # torchvision's annotation has tensors only, but images work too.
    resized = resize(image, [short or size])  # pyright: ignore[reportArgumentType]
    return pil_to_tensor(center_crop(resized, [size, size])).numpy()
