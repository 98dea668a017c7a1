"""Letters drawn from font files: one grey image per face and character, near-duplicates removed."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.sparse import coo_matrix, tril
from sklearn.neighbors import NearestNeighbors

from lgd_core.base.errors import BrokenFileError, UserError
from lgd_core.base.image_files import list_fonts
from lgd_core.data.kind import Files

# Glyphs are drawn larger and then reduced, so that hinting has little effect on their shape.
OVERSAMPLING = 4
# A code that Unicode will never assign: a font draws its sign for a missing glyph.
UNASSIGNED = "\uffff"


@dataclass(frozen=True)
class Letters:
    """Images of characters, uint8 (N, H, W), ink 255 on 0; their labels, int64 (N,); families."""

    images: np.ndarray
    labels: np.ndarray
    families: np.ndarray


def draw_letters(
    root: Path,
    characters: Sequence[str],
    size: int,
    exclude: Sequence[str],
    min_distance: float,
    files: Files,
) -> Letters:
    """Draw characters with every face of the fonts under ``root``, class by class.

    Follows the recipe of notMNIST (Bulatov, 2011): glyphs scaled to fit and centred, whatever their
    weight, slant or case. Fonts whose names match a pattern of ``exclude`` are skipped. A font that
    FreeType cannot draw counts as broken; a font without these letters is left out. If the root
    mean square difference of two images, on [0, 1], is at most ``min_distance``, only the first in
    order of paths is kept. Raises UserError if no font draws the characters.
    """
    images, families = [], []
    for path in list_fonts(root):
        if any(fnmatch(path.name, pattern) for pattern in exclude):
            continue
        contents = files.read(path)
        try:
            for font in _faces(contents, OVERSAMPLING * size):
                drawn = draw_face(font, characters, size)
                if isinstance(drawn, str):
                    files.leave_out(f"{path}: {drawn}")
                    continue
                images.append(drawn)
                families.append(family_of(font.getname()[0] or path.stem))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            files.on_broken(
                BrokenFileError(
                    f"{path}: found a broken font ({reason}), expected one that draws letters"
                )
            )
    if not images:
        raise UserError(f"{root}: found no font that draws {''.join(characters)}")
    return _distinct(np.stack(images, 1), np.array(families), min_distance)


def draw_face(
    font: ImageFont.FreeTypeFont, characters: Sequence[str], size: int
) -> np.ndarray | str:
    """Return uint8 (characters, size, size), or the reason why the face has no such letters."""
    missing = _ink(font, UNASSIGNED)
    inks = [_ink(font, character) for character in characters]
    lacking = [c for c, ink in zip(characters, inks, strict=True) if ink is None or ink == missing]
    if lacking:
        return f"lacks {''.join(lacking)}"
    images = np.stack([_fit(ink, size) for ink in inks if ink is not None])
    if len(np.unique(images, axis=0)) < len(characters):
        return "draws different characters alike"
    return images


def family_of(name: str) -> str:
    """Return the first word of a typeface's name, in lower case and without digits.

    Weights, widths, optical sizes and designs that share a name (Noto Sans, Noto Serif) count as
    one family, so that similar designs are never in different splits.
    """
    word = re.search(r"[^\W\d_]+", name)
    return (word.group() if word else name.partition("\n")[0]).casefold()


def _faces(contents: bytes, em: int) -> Iterator[ImageFont.FreeTypeFont]:
    """Yield the faces of a font file; a font collection has several."""
    count = int.from_bytes(contents[8:12]) if contents[:4] == b"ttcf" else 1
    for index in range(count):
        # Other layout engines are not available on every machine.
        layout = ImageFont.Layout.BASIC
        yield ImageFont.truetype(io.BytesIO(contents), em, index, layout_engine=layout)


def _ink(font: ImageFont.FreeTypeFont, character: str) -> Image.Image | None:
    """Return the grey image of a character, cropped to its ink; None if there is no ink."""
    left, top, right, bottom = font.getbbox(character)
    canvas = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(canvas).text((-left, -top), character, fill=255, font=font)
    box = canvas.getbbox()
    return canvas.crop(box) if box else None


def _fit(ink: Image.Image, size: int) -> np.ndarray:
    """Scale ink to fit a square with a margin of a fourteenth of its side (2 of 28), centred."""
    scale = (size - 2 * round(size / 14)) / max(ink.size)
    ink = ink.resize([max(1, round(side * scale)) for side in ink.size], Image.Resampling.LANCZOS)
    square = Image.new("L", (size, size))
    square.paste(ink, ((size - ink.width) // 2, (size - ink.height) // 2))
    return np.asarray(square)


def _distinct(images: np.ndarray, families: np.ndarray, distance: float) -> Letters:
    """Return images (characters, faces, H, W) as Letters, without near-duplicates."""
    kept = [_far_from_earlier(of_class, distance) for of_class in images]
    return Letters(
        np.concatenate([of_class[rows] for of_class, rows in zip(images, kept, strict=True)]),
        np.repeat(np.arange(len(images)), [rows.sum() for rows in kept]),
        np.concatenate([families[rows] for rows in kept]),
    )


def _far_from_earlier(images: np.ndarray, distance: float) -> np.ndarray:
    """Return which images have no earlier one within a root mean square distance on [0, 1]."""
    # Squares and products of integers are exact in double precision, so on every machine the same.
    rows = images.reshape(len(images), -1).astype(np.float64)
    radius = distance * 255 * rows.shape[1] ** 0.5
    near = NearestNeighbors(radius=radius, algorithm="brute").fit(rows).radius_neighbors_graph()
    return cast("coo_matrix", tril(near, -1)).getnnz(axis=1) == 0
