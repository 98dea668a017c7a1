"""Training augmentation as batched operations on the device, every image with its own draw.

torchvision's transforms draw once per call and so once per batch; per image they would need a loop.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def random_resized_crop(
    images: Tensor, scale: list[float], ratio: list[float], rng: torch.Generator
) -> Tensor:
    """Crop every image (N, C, H, W) to a random box and resize it bilinearly to (H, W).

    A box keeps a share of the area drawn from ``scale`` with an aspect ratio drawn log-uniformly
    from ``ratio``, as torchvision's RandomResizedCrop; a side longer than the image is cut to it.
    """
    n = len(images)
    area, aspect, left, top = torch.rand(4, n, generator=rng)
    area = scale[0] + (scale[1] - scale[0]) * area
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * aspect)
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    # In affine_grid's coordinates the image spans [-1, 1], so that a box of relative width w can
    # have its centre anywhere in [w - 1, 1 - w].
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width, height
    theta[:, 0, 2] = (1 - width) * (2 * left - 1)
    theta[:, 1, 2] = (1 - height) * (2 * top - 1)
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def random_flip(images: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Mirror every image (N, C, H, W) left to right with the given probability."""
    flipped = (torch.rand(len(images), generator=rng) < probability).to(images.device)
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)


def augment(images: Tensor, recipe: dict, rng: torch.Generator) -> Tensor:
    """Apply the random crop and flip of an ``augment`` recipe to images on [0, 1] (N, C, H, W)."""
    images = random_resized_crop(images, recipe["crop_scale"], recipe["crop_ratio"], rng)
    return random_flip(images, recipe["flip"], rng) if recipe["flip"] else images


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
    mixed[:, :, rows, columns] = images[order.to(images.device)][:, :, rows, columns]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, order, 1 - pasted / (height * width)
