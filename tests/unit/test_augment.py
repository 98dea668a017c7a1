"""Augmentation, image by image."""

import math
import random

import pytest
import torch
from conftest import changed
from torch import Tensor
from torchvision.transforms.v2.functional import resized_crop

from lgd_core.base.seeding import generator
from lgd_core.config.models.dataset import AugmentConfig, JitterConfig
from lgd_core.networks.augment import (
    augment,
    color_jitter,
    crop_boxes,
    cutmix,
    lighting,
    random_flip,
    random_resized_crop,
)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 16, 16, generator=generator("images"))


@pytest.mark.parametrize("seed", range(5))
def test_crops_are_torchvision_s_for_the_same_boxes(images: Tensor, seed: int) -> None:
    recipe = ([0.3, 1.0], [0.75, 4 / 3])
    found = random_resized_crop(images, *recipe, generator("crop", seed))
    boxes = crop_boxes(6, 16, 16, *recipe, generator("crop", seed)).T.tolist()
    for image, crop, box in zip(images, found, boxes, strict=True):
        expected = resized_crop(image, *box, [16, 16], antialias=False)
        assert torch.allclose(crop, expected, atol=1e-5)


def plain_box(scale: list[float], ratio: list[float], draw: random.Random) -> tuple[int, ...]:
    """Draw one box as torchvision describes it: ten tries, then the largest centred one."""
    for _ in range(10):
        area = 20 * 20 * draw.uniform(*scale)
        aspect = math.exp(draw.uniform(math.log(ratio[0]), math.log(ratio[1])))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= 20 and 0 < height <= 20:
            return draw.randint(0, 20 - height), draw.randint(0, 20 - width), height, width
    return 0, 0, 20, 20


@pytest.mark.parametrize(("scale", "ratio"), [([0.5, 1.0], [0.75, 4 / 3]), ([0.1, 0.4], [0.5, 2])])
def test_boxes_are_distributed_as_torchvision_s(scale: list[float], ratio: list[float]) -> None:
    n = 20000
    boxes = crop_boxes(n, 20, 20, scale, ratio, generator("boxes")).double()
    draw = random.Random(0)
    plain = torch.tensor([plain_box(scale, ratio, draw) for _ in range(n)]).T.double()
    for found, expected in zip(boxes, plain, strict=True):
        error = expected.std() * (2 / n) ** 0.5
        assert abs(found.mean() - expected.mean()) < 4 * error
        assert found.std().item() == pytest.approx(expected.std().item(), rel=0.03)
        # The rarest boxes need not come up in both.
        assert abs(found.min() - expected.min()) <= 1
        assert abs(found.max() - expected.max()) <= 1


def test_a_ratio_that_never_fits_gives_the_largest_centred_box() -> None:
    boxes = crop_boxes(3, 12, 12, [1.0, 1.0], [3.0, 3.0], generator("boxes"))
    assert boxes.T.tolist() == [[4, 0, 4, 12]] * 3


def test_a_crop_of_everything_is_the_image(images: Tensor) -> None:
    found = random_resized_crop(images, [1.0, 1.0], [1.0, 1.0], generator("crop"))
    assert torch.allclose(found, images, atol=1e-5)


def test_crops_stay_in_range(images: Tensor) -> None:
    for seed in range(20):
        found = random_resized_crop(images, [0.05, 1.0], [0.5, 2.0], generator("crop", seed))
        assert found.shape == images.shape
        assert found.min() >= images.min() - 1e-6
        assert found.max() <= images.max() + 1e-6


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
    recipe = AugmentConfig(crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0)
    assert torch.allclose(augment(ramp, recipe, generator("augment")), ramp, atol=1e-5)
    always = augment(ramp, changed(recipe, flip=1.0), generator("augment"))
    assert torch.allclose(always, ramp.flip(3), atol=1e-5)


JITTER = JitterConfig(brightness=0.4, contrast=0.3, saturation=0.2)


def plain_jitter(image: Tensor, order: list[int], shares: list[float]) -> Tensor:
    """Jitter one image (3, H, W) step by step; operations: brightness, contrast, saturation."""
    for operation in order:
        luma = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        targets = [torch.zeros_like(image), luma.mean().expand_as(image), luma.expand_as(image)]
        image = image + shares[operation] * (targets[operation] - image)
    return image


def test_jitter_is_that_of_images_taken_one_by_one(images: Tensor) -> None:
    found = color_jitter(images, JITTER, generator("jitter"))
    rng = generator("jitter")
    orders = torch.rand(6, 3, generator=rng).argsort(1)
    shares = (2 * torch.rand(6, 3, generator=rng) - 1) * torch.tensor([0.4, 0.3, 0.2])
    for image, order, share, jittered in zip(images, orders, shares, found, strict=True):
        expected = plain_jitter(image, order.tolist(), share.tolist())
        assert torch.allclose(jittered, expected, atol=1e-5)
    assert len(orders.unique(dim=0)) > 1, "images differ in the order of operations"


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_jitter_goes_up_to_its_limit_either_way(operation: str) -> None:
    image = torch.tensor([0.8, 0.2, 0.5]).view(1, 3, 1, 1).expand(4000, 3, 2, 2).clone()
    image[:, :, 0] += 0.1
    found = color_jitter(image, JitterConfig(**{operation: 0.4}), generator("limits"))
    luma = 0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]
    targets = {"brightness": 0.0, "contrast": luma.mean((1, 2, 3), keepdim=True)}
    step = targets.get(operation, luma) - image
    share = ((found - image) / step)[:, 0, 0, 0]
    assert -0.4 - 1e-4 <= share.min() < -0.39
    assert 0.39 < share.max() <= 0.4 + 1e-4
    assert abs(share.mean()) < 0.02


def test_lighting_is_that_of_images_taken_one_by_one(images: Tensor) -> None:
    found = lighting(images, 0.1, generator("lighting"))
    amounts = 0.1 * torch.randn(6, 3, generator=generator("lighting"))
    values = [0.2175, 0.0188, 0.0045]
    vectors = [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    for image, amount, lit in zip(images, amounts.tolist(), found, strict=True):
        for channel in range(3):
            shift = sum(vectors[channel][j] * amount[j] * values[j] for j in range(3))
            assert torch.allclose(lit[channel], image[channel] + shift, atol=1e-6)


def test_augmentations_come_in_the_field_s_order(images: Tensor) -> None:
    recipe = AugmentConfig(
        crop_scale=[0.5, 1.0], crop_ratio=[0.75, 4 / 3], flip=0.5, jitter=JITTER, lighting=0.1
    )
    rng = generator("chain")
    expected = random_resized_crop(images, recipe.crop_scale, recipe.crop_ratio, rng)
    expected = random_flip(expected, 0.5, rng)
    expected = lighting(color_jitter(expected, JITTER, rng), 0.1, rng)
    assert torch.equal(augment(images, recipe, generator("chain")), expected)
    assert expected.min() < 0 or expected.max() > 1, "nothing is clamped"


def test_augmentation_is_a_function_of_its_generator(images: Tensor) -> None:
    recipe = AugmentConfig(crop_scale=[0.3, 1.0], crop_ratio=[0.8, 1.2], flip=0.5)
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
