"""Several images in one: taken apart, put together, and what training sees of it."""

import pytest
import torch
import torch.nn.functional as F
from conftest import SEEN
from torch import Tensor

from lgd_core.data.multi_formation import pack_grid, unpack_grid, unpack_stored
from lgd_core.networks.training import Images


def stored(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def quarters(image: Tensor) -> list[Tensor]:
    """Return the quarters of an image (C, 16, 16), row by row, enlarged by torch."""
    corners = [(0, 0), (0, 8), (8, 0), (8, 8)]
    cut = [image[None, :, y : y + 8, x : x + 8] for y, x in corners]
    return [F.interpolate(part, (16, 16), mode="bilinear")[0] for part in cut]


def test_quarters_are_enlarged_and_lie_beside_each_other() -> None:
    found = unpack_grid(stored(), 2)
    assert torch.equal(found, torch.stack([q for image in stored() for q in quarters(image)]))


def test_factor_1_is_the_image_itself() -> None:
    labels = torch.tensor([2, 0, 1])
    assert torch.equal(unpack_grid(stored(), 1), stored())
    assert torch.equal(pack_grid(stored(), 1), stored())
    assert torch.equal(unpack_stored(stored(), labels, 1)[1], labels)


@pytest.mark.parametrize("factor", [2, 4])
def test_plain_images_come_back_from_a_grid_in_order(factor: int) -> None:
    shades = torch.linspace(0, 1, 2 * factor**2).view(-1, 1, 1, 1)
    images = shades.expand(-1, 3, 16, 16)
    grids = pack_grid(images, factor)
    assert grids.shape == (2, 3, 16, 16)
    torch.testing.assert_close(unpack_grid(grids, factor), images)


def test_taking_apart_lets_gradients_through() -> None:
    pixels = stored().requires_grad_()
    unpack_grid(pixels, 2)[5].sum().backward()
    touched = pixels.grad.abs().sum(1) > 0
    assert touched[1, :8, 8:].all(), "the second quarter of the second image"
    assert touched.sum() == 64


def test_training_sees_what_stored_images_hold() -> None:
    images = (stored() * 255).to(torch.uint8)
    labels = torch.tensor([2, 0, 1])
    data = Images.of_set(torch.device("cpu"), images, labels, 2, SEEN)
    assert data.labels.tolist() == [2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1]
    assert data.images.dtype == torch.uint8
    expected = torch.stack([q for image in images.float() for q in quarters(image)])
    assert (data.images - expected).abs().max() <= 0.5


def test_parts_of_a_large_set_are_joined_in_order() -> None:
    images, labels = (stored(5) * 255).to(torch.uint8), torch.arange(5)
    whole = unpack_stored(images, labels, 2)
    parts = unpack_stored(images, labels, 2, batch=2)
    assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))
