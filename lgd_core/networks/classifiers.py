"""Learners, reference models and students: networks with affine instance or batch normalisation.

Instance normalisation is ``GroupNorm`` with one group per channel: the same in training and in
evaluation, with no running statistics, so that a network can guide while it is trained on little.
Batch normalisation is what the networks of ImageNet-1K's tables have.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import derive_seed
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.config.architectures import Architecture, parse_architecture
from lgd_core.config.models.base import validated
from lgd_core.config.settings import NetworkInput, NetworkSpec


def instance_norm(channels: int) -> nn.GroupNorm:
    """Return affine instance normalisation over (N, C, H, W)."""
    return nn.GroupNorm(channels, channels)


Norm = Callable[[int], nn.Module]


def norm_of(architecture: Architecture) -> Norm:
    """Return the normalisation of an architecture, by its number of channels."""
    return nn.BatchNorm2d if architecture.batch_norm else instance_norm


def build_network(spec: NetworkSpec, *key: int | str) -> nn.Module:
    """Build a network for normalised images (N, channels, size, size), initialised by its key.

    It returns logits (N, classes). Raises UserError where its name is no architecture's.
    """
    builders = {"ConvNet": ConvNet, "ResNetAP": ResNetAP, "ResNet": build_resnet}
    architecture = parse_architecture(spec.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("initialise", *key))
        build = builders[architecture.family]
        return build(architecture, spec.channels, spec.size, spec.classes)


class AveragePool(nn.Module):
    """Mean over square windows of (N, C, H, W) without overlap, as ``nn.AvgPool2d(size)``.

    On a CPU AvgPool2d's backward pass was the dearest step of training a ConvNet. A product with a
    constant matrix takes a quarter of its time; for wide images a depthwise convolution is faster.
    """

    WIDE = 64  # The operations of a product per pixel grow with the width of the image.

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return F.avg_pool2d(x, self.size)
        return self._by_convolution(x) if x.shape[3] > self.WIDE else self._by_product(x)

    def _by_convolution(self, x: Tensor) -> Tensor:
        channels, size = x.shape[1], self.size
        kernel = x.new_full((channels, 1, size, size), 1 / size**2)
        return F.conv2d(x, kernel, stride=size, groups=channels)

    def _by_product(self, x: Tensor) -> Tensor:
        """Multiply ``size`` rows of pixels, end to end, by a matrix that averages windows.

        The matrix is (size x W, W // size); pixels beyond the last whole window are left out.
        """
        (n, channels, height, width), size = x.shape, self.size
        tall, wide = height // size, width // size
        column = torch.arange(width).div(size, rounding_mode="floor")
        windows = (column[:, None] == torch.arange(wide)).to(x) / size**2
        rows = x[:, :, : tall * size].reshape(-1, size * width)
        return (rows @ windows.repeat(size, 1)).view(n, channels, tall, wide)


class ConvNet(nn.Sequential):
    """Blocks of 3x3 convolution, norm, ReLU and 2x2 average pooling, then one layer.

    The classifier reads the flattened last feature map, so a network fits one input size.
    """

    def __init__(self, architecture: Architecture, channels: int, size: int, classes: int) -> None:
        width, depth, norm = architecture.width, architecture.depth, norm_of(architecture)
        blocks = [
            nn.Sequential(
                nn.Conv2d(channels if i == 0 else width, width, 3, padding=1),
                norm(width),
                nn.ReLU(inplace=True),
                AveragePool(2),
            )
            for i in range(depth)
        ]
        features = width * (size // 2**depth) ** 2
        super().__init__(*blocks, nn.Flatten(), nn.Linear(features, classes))


class AveragePoolBlock(nn.Module):
    """Residual block of stride-1 convolutions that halves the resolution by average pooling."""

    def __init__(self, channels: int, width: int, halve: bool, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm1 = norm(width)
        self.pool = AveragePool(2) if halve else nn.Identity()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm(width)
        self.shortcut = nn.Identity()
        if halve or channels != width:
            conv = nn.Conv2d(channels, width, 1, bias=False)
            self.shortcut = nn.Sequential(conv, self.pool, norm(width))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.pool(F.relu(self.norm1(self.conv1(x))))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNetAP(nn.Sequential):
    """ResNetAP-10: four stages of one average-pooling block, widths w, 2w, 4w, 8w.

    Inputs above 128 pixels get a 7x7 stem pooled by 4, above 64 a 3x3 stem pooled by 2, smaller
    ones a 3x3 stem without pooling.
    """

    def __init__(self, architecture: Architecture, channels: int, size: int, classes: int) -> None:
        width, norm = architecture.width, norm_of(architecture)
        kernel, pool = (7, 4) if size > 128 else (3, 2) if size > 64 else (3, 1)
        stem = nn.Sequential(
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
            AveragePool(pool),
        )
        widths = [width * 2**i for i in range(4)]
        stages = [
            AveragePoolBlock(before, after, i > 0, norm)
            for i, (before, after) in enumerate(zip([width, *widths], widths, strict=False))
        ]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
        super().__init__(stem, *stages, *head)
        _initialise_convolutions(self)


def build_resnet(architecture: Architecture, channels: int, size: int, classes: int) -> nn.Module:
    """Return torchvision's ResNet; smaller inputs get a smaller stem."""
    from torchvision.models import resnet  # two seconds that the other networks do not need

    layers = {10: [1, 1, 1, 1], 18: [2, 2, 2, 2]}[architecture.depth]
    norm = norm_of(architecture)
    model = resnet.ResNet(resnet.BasicBlock, layers, num_classes=classes, norm_layer=norm)
    kernel, stride = (7, 2) if size > 128 else (3, 1)
    model.conv1 = nn.Conv2d(channels, 64, kernel, stride, padding=kernel // 2, bias=False)
    if size <= 64:
        model.add_module("maxpool", nn.Identity())
    _initialise_convolutions(model)
    return model


def _initialise_convolutions(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resized(images: Tensor, size: int) -> Tensor:
    """Resize images (N, C, H, W) to a side of ``size`` pixels, bilinearly with antialiasing.

    On a GPU by two products of matrices: the gradient of interpolate adds up in random order there,
    and guided images would differ from run to run.
    """
    if images.shape[-1] == size:
        return images
    if images.is_cuda:
        return resized_by_matrices(images, size)
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def resized_by_matrices(images: Tensor, size: int) -> Tensor:
    """Return what ``resized`` does, as a product with one matrix per axis."""
    rows, columns = (
        resizing_matrix(length, size, images.device).to(images.dtype)
        for length in images.shape[-2:]
    )
    return rows @ images @ columns.T


@cache
def resizing_matrix(length: int, size: int, device: torch.device) -> Tensor:
    """Return the weights (size, length) of a bilinear resize with antialiasing along one axis."""
    columns = torch.eye(length).view(1, 1, length, length)
    resize = F.interpolate(columns, (size, length), mode="bilinear", antialias=True)
    return resize[0, 0].to(device)


class Preprocess(nn.Module):
    """Map images on [0, 1] (N, C, H, W) to what networks see: their size, zero mean, unit std."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: list[float], std: list[float], size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (resized(images, self.size) - self.mean) / self.std


def save_network(
    path: str | Path, model: nn.Module, spec: NetworkSpec, metadata: dict[str, Any]
) -> None:
    """Write weights with what rebuilds the network."""
    save_tensors(path, model.state_dict(), metadata | {"network": spec.entries()})


def load_network(path: str | Path, device: torch.device, expected: NetworkInput) -> nn.Module:
    """Rebuild a network written by save_network, frozen and in evaluation mode.

    ``expected`` is what it must take and give, or the whole network as a NetworkSpec. Raises
    UserError naming the file where it is another.
    """
    tensors, metadata = load_tensors(path)
    network = rebuild(path, metadata, expected)
    load_weights(path, network, tensors)
    return network.to(device).eval().requires_grad_(False)


def rebuild(path: str | Path, metadata: dict[str, Any], expected: NetworkInput) -> nn.Module:
    """Build the network that a file's metadata describe, ``expected`` as for load_network."""
    found = metadata.get("network", {})
    for key, value in expected.entries().items():
        if found.get(key) != value:
            raise UserError(
                f"{path}: network.{key}: found {found.get(key)}, expected {value}; delete the file "
                "and run again"
            )
    return build_network(validated(NetworkSpec, found, f"{path}: network"))


def load_weights(path: str | Path, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a network the weights of a file; raises UserError where they are another's."""
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: found the weights of another network ({reason})") from None
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{path}: found weights that are not finite; delete it and run again")
