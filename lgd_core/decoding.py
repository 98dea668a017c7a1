"""Image files of every kind, decoded and brought to one size."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

from lgd_core.errors import UserError

# What Pillow's decoders raise for files that are cut short or are not what they say.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def decode(path: str | Path, channels: int) -> Image.Image:
    """Decode an image file as 8-bit grey (1 channel) or RGB (3), whatever its name and mode.

    Transparency is dropped. The orientation in EXIF is not applied: the training pipelines whose
    numbers we compare with see ImageNet as its pixels are stored. Raises UserError that names a
    file which does not decode.
    """
    try:
        with Image.open(path) as image:
            # Pillow clips 16 bits to 8 where it converts them; the upper byte is the picture.
            wide = image.mode.startswith("I")
            eight = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if wide else image
            # By way of RGBA, since Pillow warns of palettes with transparency otherwise.
            if eight.mode == "P" and "transparency" in eight.info:
                eight = eight.convert("RGBA")
            return eight.convert("L" if channels == 1 else "RGB")
    except BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: found a broken image ({reason}), expected one that decodes"
        ) from error


def fit(image: Image.Image, size: int) -> np.ndarray:
    """Return uint8 (C, size, size): short side resized, bilinear with antialias, centre-cropped."""
    return pil_to_tensor(center_crop(resize(image, [size]), [size, size])).numpy()
