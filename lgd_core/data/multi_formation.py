"""Multi-formation: stored images that hold several smaller ones.

Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization" (ICML 2022): with
factor f a stored image is a grid of f x f small images. Networks train on each of these, enlarged
to the full size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def unpack_grid(images: Tensor, factor: int) -> Tensor:
    """Return the images in stored images (N, C, H, W) on [0, 1]: (N x factor^2, C, H, W).

    Those of one stored image follow each other, row by row of its grid, and are enlarged
    bilinearly. Differentiable. Height and width are multiples of the factor.
    """
    if factor == 1:
        return images
    cells = images.unflatten(3, (factor, -1)).unflatten(2, (factor, -1))
    cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    return F.interpolate(cells, images.shape[2:], mode="bilinear")


def pack_grid(images: Tensor, factor: int) -> Tensor:
    """Return stored images (N, C, H, W) that contain the given ones (N x factor^2, C, H, W).

    The inverse of unpack_grid, except for the loss of resizing (bilinear with antialiasing).
    """
    if factor == 1:
        return images
    height, width = (side // factor for side in images.shape[2:])
    cells = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
    grids = cells.unflatten(0, (-1, factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return grids.flatten(4, 5).flatten(2, 3)


def unpack_stored(
    images: Tensor, labels: Tensor, factor: int, batch: int = 500
) -> tuple[Tensor, Tensor]:
    """Return unpack_grid of uint8 images (N, C, H, W), in 8 bits, and the labels of its images."""
    if factor == 1:
        return images, labels
    parts = (unpack_grid(part.float(), factor) for part in images.split(batch))
    stored = torch.cat([part.round().to(torch.uint8) for part in parts])
    return stored, labels.repeat_interleave(factor**2)
