"""Networks: their sizes, their initialisation, and their equality to published ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SPEC
from PIL import Image
from torch import nn
from torchvision.models import resnet18

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.base.tensors import load_tensors
from lgd_core.config.architectures import parse_architecture
from lgd_core.config.settings import NetworkSpec
from lgd_core.networks.classifiers import (
    AveragePool,
    Preprocess,
    build_network,
    load_network,
    resized,
    resized_by_matrices,
    save_network,
)

FAMILIES = [("ConvNet-3-w8", 16), ("ResNetAP-10-w8", 32), ("ResNet-10", 32), ("ResNet-18", 32)]


def spec(name: str, size: int, channels: int = 3, classes: int = 10) -> NetworkSpec:
    return NetworkSpec(name=name, channels=channels, size=size, classes=classes)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("ConvNet-6", 224, 754_570),
        ("ConvNet-6", 256, 763_530),
        ("ResNetAP-10", 224, 4_910_922),
        ("ResNetAP-10", 256, 4_910_922),
        ("ResNet-18", 224, 11_181_642),
        ("ResNet-18", 256, 11_181_642),
    ],
)
def test_parameter_counts(name: str, size: int, expected: int) -> None:
    model = build_network(spec(name, size))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_resnet_18_is_torchvision_s_with_instance_norm() -> None:
    def instance_norm(channels: int) -> nn.Module:
        return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)

    ours = build_network(spec("ResNet-18", 160)).eval()
    theirs = resnet18(num_classes=10, norm_layer=instance_norm).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 160, 160, generator=generator("images"))
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *FAMILIES,
        *[(name, size) for name in ("ResNetAP-10-w8", "ResNet-10") for size in (64, 96, 160)],
        ("ConvNet-2-w8", 28),
        ("ConvNet-3-w8", 8),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_networks_map_images_of_their_size_to_logits(name: str, size: int, channels: int) -> None:
    model = build_network(spec(name, size, channels, 7))
    assert model(torch.zeros(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize(("window", "size"), [(2, 8), (2, 7), (4, 8), (2, 64), (2, 65), (4, 70)])
def test_average_pool_is_torch_s(window: int, size: int) -> None:
    images = torch.rand(3, 5, size, size, dtype=torch.double, requires_grad=True)
    ours, theirs = AveragePool(window)(images), nn.AvgPool2d(window)(images)
    torch.testing.assert_close(ours, theirs)
    weights = torch.rand_like(ours)
    (of_ours,) = torch.autograd.grad((ours * weights).sum(), images)
    (of_theirs,) = torch.autograd.grad((theirs * weights).sum(), images)
    torch.testing.assert_close(of_ours, of_theirs)


@pytest.mark.parametrize(
    ("size", "expected"), [(32, 32), (64, 64), (96, 48), (128, 64), (160, 40), (224, 56)]
)
def test_resnetap_s_stem_depends_on_the_size(size: int, expected: int) -> None:
    stem = build_network(spec("ResNetAP-10-w8", size))[0]
    assert stem(torch.zeros(1, 3, size, size)).shape[2:] == (expected, expected)


def test_resnetap_halves_the_map_in_all_stages_but_the_first() -> None:
    model = build_network(spec("ResNetAP-10-w8", 32))
    x, shapes = model[0](torch.zeros(1, 3, 32, 32)), []
    for stage in list(model)[1:5]:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(8, 32, 32), (16, 16, 16), (32, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_training_and_evaluation_mode_give_the_same(name: str, size: int) -> None:
    model = build_network(spec(name, size), "key")
    images = torch.randn(4, 3, size, size, generator=generator("images"))
    with torch.no_grad():
        trained, evaluated = model.train()(images), model.eval()(images)
        alone = torch.cat([model(image[None]) for image in images])
    assert torch.equal(trained, evaluated)
    assert torch.allclose(alone, evaluated, atol=1e-4)


def test_initialisation_follows_the_key_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (build_network(SPEC, "a", i) for i in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1234)
    third = build_network(SPEC, "a", 0)
    weights = [model.state_dict()["0.0.weight"] for model in (first, second, third, other)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_a_network_on_disk_comes_back_frozen_and_the_same(
    name: str, size: int, tmp_path: Path
) -> None:
    path, saved = tmp_path / "model.safetensors", spec(name, size, classes=5)
    model = build_network(saved, "key")
    save_network(path, model, saved, {"note": "kept"})
    expected = {"name": name, "channels": 3, "size": size, "classes": 5}
    metadata = load_tensors(path)[1]
    assert metadata["network"] == expected
    assert metadata["note"] == "kept"
    loaded = load_network(path, torch.device("cpu"), saved)
    images = torch.randn(2, 3, size, size, generator=generator("images"))
    assert torch.equal(loaded(images), model(images))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_normalisation_is_by_channel() -> None:
    images = torch.rand(2, 3, 4, 4, generator=generator("images"))
    found = Preprocess([0.1, 0.2, 0.3], [1.0, 2.0, 4.0], images.shape[-1])(images)
    for channel, (mean, std) in enumerate([(0.1, 1.0), (0.2, 2.0), (0.3, 4.0)]):
        assert torch.allclose(found[:, channel], (images[:, channel] - mean) / std)


@pytest.mark.parametrize(("length", "size"), [(256, 224), (28, 32), (64, 9)])
def test_matrices_resize_as_interpolation_does(length: int, size: int) -> None:
    images = torch.rand(2, 3, length, length, generator=torch.Generator().manual_seed(0))
    gradients = []
    for resize in (resized, resized_by_matrices):
        x = images.clone().requires_grad_()
        found = resize(x, size)
        gradients.append(torch.autograd.grad((found * found.detach().cos()).sum(), x)[0])
        assert torch.allclose(found, resized(images, size), atol=1e-5)
    assert torch.allclose(*gradients, atol=1e-5)


def test_networks_see_images_at_their_own_size_as_pillow_resizes_them() -> None:
    pixels = torch.randint(0, 256, (2, 3, 64, 64), generator=generator("pixels")).to(torch.uint8)
    found = 255 * Preprocess([0.0] * 3, [1.0] * 3, 56)(pixels / 255)
    for image, small in zip(pixels, found, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = np.asarray(picture.resize((56, 56), Image.Resampling.BILINEAR))
        difference = small.permute(1, 2, 0).numpy() - expected
        assert np.abs(difference).max() < 1.01, "Pillow rounds to 8 bits after each axis"


@pytest.mark.parametrize(
    "name", ["ConvNet", "ConvNet-9", "ResNet-34", "VGG-11", "ConvNet-3-32", "ResNet-10-w8"]
)
def test_unknown_architectures_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f"found '{name}'") as error:
        parse_architecture(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ConvNet-6", ("ConvNet", 6, 128)), ("ResNetAP-10-w16", ("ResNetAP", 10, 16))],
)
def test_names_give_family_depth_and_width(name: str, expected: tuple) -> None:
    found = parse_architecture(name)
    assert (found.family, found.depth, found.width) == expected


@pytest.mark.parametrize("name", ["ConvNet-1-w8", "ConvNet-3-w8", "ResNetAP-10-w8", "ResNet-10"])
def test_at_the_smallest_input_logits_still_depend_on_the_image(name: str) -> None:
    size = parse_architecture(name).smallest_input
    model = build_network(spec(name, size, 1, 3), "key")
    images = torch.rand(2, 1, size, size, generator=generator("images"))
    logits = model(images)
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    assert torch.allclose(model(images[:1]), logits[:1], atol=1e-5)


@pytest.mark.parametrize("name", ["ConvNet-2-w8-bn", "ResNetAP-10-w16-bn", "ResNet-18-bn"])
def test_batch_norm_networks_keep_running_statistics(name: str, tmp_path: Path) -> None:
    wanted = spec(name, 32, classes=4)
    network = build_network(wanted, 0)
    kinds = {type(module) for module in network.modules()}
    assert nn.BatchNorm2d in kinds
    assert nn.GroupNorm not in kinds
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network.train()(images + 1)
    save_network(tmp_path / "network.safetensors", network, wanted, {})
    loaded = load_network(tmp_path / "network.safetensors", torch.device("cpu"), wanted)
    assert torch.equal(loaded(images), network.eval()(images))
    assert not torch.equal(loaded(images), build_network(wanted, 0).eval()(images))


def test_resnet_18_with_batch_norm_has_the_weights_of_torchvision() -> None:
    wanted = spec("ResNet-18-bn", 224, classes=1000)
    ours, theirs = build_network(wanted, 0), resnet18(weights=None)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
