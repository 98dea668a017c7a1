"""Training augmentation as batched operations on the device, every image with its own draw.

torchvision's transforms draw once per call and so once per batch; per image they would need a loop.
Images are (N, ..., C, H, W): what lies along further axes shares the draw of its first index, so
that real and synthetic images can be augmented alike.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lgd_core.base.devices import moved
from lgd_core.config.models.dataset import AugmentConfig, JitterConfig

TRIES = 10  # of a random crop's box, as in torchvision
LUMA = (0.299, 0.587, 0.114)
# Principal components of ImageNet's colours (Krizhevsky et al., 2012).
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def random_resized_crop(
    images: Tensor, scale: list[float], ratio: list[float], rng: torch.Generator
) -> Tensor:
    """Crop every image (N, ..., C, H, W) to a box of its own and resize it bilinearly to (H, W).

    Boxes and pixels are those of torchvision's RandomResizedCrop without antialiasing.
    """
    height, width = images.shape[-2:]
    top, left, tall, wide = crop_boxes(len(images), height, width, scale, ratio, rng)
    y, x = _sample_points(top, tall, height), _sample_points(left, wide, width)
    shape = (len(images), height, width)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)
    # A box is cut from all channels alike, and what shares it may count as more of them.
    planes = images.flatten(1, -3)
    cropped = F.grid_sample(planes, moved(grid, images.device), align_corners=False)
    return cropped.reshape(images.shape)


def crop_boxes(
    n: int, height: int, width: int, scale: list[float], ratio: list[float], rng: torch.Generator
) -> Tensor:
    """Draw n boxes in whole pixels; returns top, left, height and width, (4, n).

    Up to ten tries each of a share of the area from ``scale`` and a log-uniform aspect ratio from
    ``ratio``; where none fits into the image, the largest centred box of the nearest ratio.
    """
    share, log_ratio = torch.rand(2, TRIES, n, generator=rng)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * log_ratio)
    wide, tall = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = fits.int().argmax(0, keepdim=True)
    wide, tall = wide.gather(0, first)[0], tall.gather(0, first)[0]
    nearest = min(max(width / height, ratio[0]), ratio[1])
    wide = wide.where(fits.any(0), min(width, round(height * nearest)))
    tall = tall.where(fits.any(0), min(height, round(width / nearest)))
    spare = torch.stack([height - tall, width - wide])
    corner = (torch.rand(2, n, generator=rng) * (spare + 1)).long()
    corner = corner.where(fits.any(0), spare // 2)
    return torch.cat([corner, tall[None], wide[None]])


def _sample_points(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return where ``size`` pixels of a resized box lie in the image, in grid_sample's units.

    Points beyond the centres of the box's outermost pixels are moved onto them, so that a crop
    never sees what lies beside its box.
    """
    start, length = start[:, None], length[:, None]
    points = start + (torch.arange(size) + 0.5) * length / size
    return points.clamp(start + 0.5, start + length - 0.5) * 2 / size - 1


def shuffle_patches(images: Tensor, factor: int, rng: torch.Generator) -> Tensor:
    """Put ``factor`` columns, then as many rows of images (N, C, H, W) into random order.

    Whole columns and rows move, in every image in an order of its own (RDED, Sun et al., 2024).
    They are as wide as H and W allow; pixels beyond the last whole one stay where they are.
    """
    if factor == 1:
        return images
    for axis in (3, 2):
        length = images.shape[axis]
        width = length // factor
        order = torch.rand(len(images), factor, generator=rng).argsort(1)
        places = order[:, :, None] * width + torch.arange(width)
        rest = torch.arange(width * factor, length).expand(len(images), -1)
        places = moved(torch.cat([places.flatten(1), rest], 1), images.device)
        shape = [len(images), 1, 1, 1]
        shape[axis] = length
        images = images.gather(axis, places.view(shape).expand(images.shape))
    return images


def random_flip(images: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Mirror every image (N, ..., C, H, W) left to right with the given probability."""
    flipped = moved(torch.rand(len(images), generator=rng) < probability, images.device)
    return torch.where(_per_image(flipped, images), images.flip(-1), images)


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    """Shape values (N,) so that they spread over images (N, ..., C, H, W)."""
    return values.view(-1, *(1,) * (images.dim() - 1))


def color_jitter(images: Tensor, limits: JitterConfig, rng: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of images (N, ..., C, H, W) in random order.

    ``limits`` has the largest change of each. An image moves by a share, drawn from +- its limit,
    towards black, the mean of its grey version, or its grey version. Nothing is clamped: the
    field's own jitter (IDC and its heirs), which is not torchvision's.
    """
    n = len(images)
    order = moved(torch.rand(n, 3, generator=rng).argsort(1), images.device)
    largest = torch.tensor([limits.brightness, limits.contrast, limits.saturation])
    shares = moved((2 * torch.rand(n, 3, generator=rng) - 1) * largest, images.device)
    for turn in order.T:
        grey = greyscale(images)
        operation = _per_image(turn, images)
        target = torch.where(operation == 1, grey.mean((-3, -2, -1), keepdim=True), grey)
        target = target * (operation > 0)
        images = images.lerp(target, _per_image(shares.gather(1, turn[:, None]), images))
    return images


def greyscale(images: Tensor) -> Tensor:
    """Return the luma of images (..., C, H, W), (..., 1, H, W); grey images as they are."""
    if images.shape[-3] == 1:
        return images
    return (images * images.new_tensor(LUMA).view(3, 1, 1)).sum(-3, keepdim=True)


def lighting(images: Tensor, std: float, rng: torch.Generator) -> Tensor:
    """Shift the colours of images (N, ..., 3, H, W) along ImageNet's principal components.

    Krizhevsky et al. (2012): the j-th component times its eigenvalue times a draw from N(0, std).
    """
    amounts = std * torch.randn(len(images), 3, generator=rng)
    shift = (amounts * torch.tensor(EIGENVALUES)) @ torch.tensor(EIGENVECTORS).T
    between = (1,) * (images.dim() - 4)
    return images + moved(shift, images.device).view(-1, *between, 3, 1, 1)


def augment(images: Tensor, recipe: AugmentConfig, rng: torch.Generator) -> Tensor:
    """Crop, flip, jitter and light images on [0, 1] (N, ..., C, H, W), as a recipe says.

    Differentiable.
    """
    images = random_resized_crop(images, recipe.crop_scale, recipe.crop_ratio, rng)
    if recipe.flip:
        images = random_flip(images, recipe.flip, rng)
    jitter = recipe.jitter
    if jitter.brightness or jitter.contrast or jitter.saturation:
        images = color_jitter(images, jitter, rng)
    return lighting(images, recipe.lighting, rng) if recipe.lighting else images


def cutmix(images: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """Paste one random box, the same for the batch, from a permutation of the images (N, C, H, W).

    Returns the mixed images, the permutation, and the share of each image that is still its own.
    The box covers a uniformly drawn share of the area before it is clipped to the image.
    """
    height, width = images.shape[2:]
    side = math.sqrt(torch.rand((), generator=rng).item())
    h, w = int(height * side), int(width * side)
    y = int(torch.randint(height, (), generator=rng))
    x = int(torch.randint(width, (), generator=rng))
    rows = slice(max(y - h // 2, 0), min(y + h // 2, height))
    columns = slice(max(x - w // 2, 0), min(x + w // 2, width))
    order = torch.randperm(len(images), generator=rng)
    mixed = images.clone()
    mixed[:, :, rows, columns] = images[moved(order, images.device)][:, :, rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, order, 1 - pasted / (height * width)
