"""Augmentation, image by image."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, resized_crop

from lgd_core.augment import augment, cutmix, random_flip, random_resized_crop
from lgd_core.seeding import generator


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 16, 16, generator=generator("images"))


def crop_box(
    images: Tensor, box: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """Return random_resized_crop's result where the draw is the box (top, left, height, width)."""
    top, left, height, width = box
    size = images.shape[2]
    draw = torch.tensor(
        [0.0, 0.0, left / max(size - width, 1), top / max(size - height, 1)]
    ).repeat(len(images), 1)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: draw.T)
    area, aspect = height * width / size**2, width / height
    return random_resized_crop(images, [area, area], [aspect, aspect], generator("unused"))


@pytest.mark.parametrize("box", [(4, 6, 8, 8), (0, 0, 8, 8), (3, 2, 8, 4), (8, 0, 4, 16)])
def test_crop_agrees_with_torchvision_inside_the_box(
    images: Tensor, box: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = crop_box(images, box, monkeypatch)
    bilinear = InterpolationMode.BILINEAR
    expected = resized_crop(images, *box, [16, 16], bilinear, antialias=False)
    # torchvision repeats the box's outermost pixels where this crop reads those beside the box.
    rows, columns = (math.ceil(8 / side) if side < 16 else 0 for side in box[2:])
    inside = (..., slice(rows, 16 - rows), slice(columns, 16 - columns))
    assert found[inside].numel() > 0
    assert torch.allclose(found[inside], expected[inside], atol=1e-5)
    if box == (0, 0, 8, 8):
        corner = (..., slice(None, 15), slice(None, 15))
        assert torch.allclose(found[corner], expected[corner], atol=1e-5)


def test_a_crop_of_everything_is_the_image(images: Tensor) -> None:
    found = random_resized_crop(images, [1.0, 1.0], [1.0, 1.0], generator("crop"))
    assert torch.allclose(found, images, atol=1e-5)


def test_crops_stay_in_range(images: Tensor) -> None:
    for seed in range(20):
        found = random_resized_crop(images, [0.05, 1.0], [0.5, 2.0], generator("crop", seed))
        assert found.shape == images.shape
        assert found.min() >= images.min() - 1e-6
        assert found.max() <= images.max() + 1e-6


def test_crop_areas_and_ratios_are_those_asked_for() -> None:
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    both = torch.stack([ramp, ramp.T]).expand(200, 2, 64, 64)
    crops = random_resized_crop(both, [0.25, 0.5], [0.5, 2.0], generator("crop"))
    width = (crops[:, 0, 32, 40] - crops[:, 0, 32, 24]) * 63 / 16
    height = (crops[:, 1, 40, 32] - crops[:, 1, 24, 32]) * 63 / 16
    area, ratio = width * height, width / height
    assert 0.25 - 1e-3 <= area.min() < 0.27
    assert 0.48 < area.max() <= 0.5 + 1e-3
    assert 0.5 - 1e-3 <= ratio.min() < 0.55
    assert 1.8 < ratio.max() <= 2 + 1e-2
    assert ratio.log().mean().abs() < 0.1


def test_every_image_has_its_own_crop(images: Tensor) -> None:
    same = images[:1].expand(6, -1, -1, -1)
    crops = random_resized_crop(same, [0.3, 0.9], [0.8, 1.2], generator("crop"))
    assert len(crops.flatten(1).unique(dim=0)) == 6


def test_every_image_has_its_own_flip() -> None:
    ramp = torch.linspace(0, 1, 8).expand(400, 1, 8, 8)
    flipped = random_flip(ramp, 0.25, generator("flip"))
    mirrored = flipped[:, 0, 0, 0] == 1
    assert torch.equal(flipped[mirrored], ramp[mirrored].flip(3))
    assert torch.equal(flipped[~mirrored], ramp[~mirrored])
    assert 70 < mirrored.sum() < 130


def test_a_recipe_without_flips_never_flips() -> None:
    ramp = torch.linspace(0, 1, 8).expand(50, 1, 8, 8)
    recipe = {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0], "flip": 0.0}
    assert torch.allclose(augment(ramp, recipe, generator("augment")), ramp, atol=1e-5)
    always = augment(ramp, recipe | {"flip": 1.0}, generator("augment"))
    assert torch.allclose(always, ramp.flip(3), atol=1e-5)


def test_augmentation_is_a_function_of_its_generator(images: Tensor) -> None:
    recipe = {"crop_scale": [0.3, 1.0], "crop_ratio": [0.8, 1.2], "flip": 0.5}
    first, second, other = (augment(images, recipe, generator("a", i)) for i in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_cutmix_s_share_is_the_area_that_is_still_an_image_s_own() -> None:
    values = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 12, 10)
    shares = []
    for seed in range(50):
        mixed, order, own = cutmix(values, generator("cutmix", seed))
        kept = mixed == values
        for i in range(5):
            share = 1.0 if order[i] == i else own
            assert kept[i].float().mean().item() == pytest.approx(share)
            assert (mixed[i][~kept[i]] == order[i]).all()
        shares.append(own)
    assert min(shares) < 0.4
    assert max(shares) > 0.9


def test_cutmix_pastes_one_box() -> None:
    values = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 12, 10)
    for seed in range(20):
        mixed, _, own = cutmix(values, generator("cutmix", seed))
        pasted = (mixed != values)[0, 0]
        rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
        assert pasted.sum() == rows * columns
        assert pasted.sum() in (0, round((1 - own) * 120))
