"""Influence guidance (IGD): towards images whose loss gradient resembles that of their class.

Chen et al., "Influence-guided diffusion for dataset distillation" (ICLR 2025).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from lgd_core.base.tensors import expect, load_tensors, save_tensors
from lgd_core.config.settings import NetworkInput, NetworkSpec
from lgd_core.networks.classifiers import Preprocess, rebuild

# Prefix of the names of a surrogate's tensors in its file.
PREFIX = "parameters."


def parameter_gradients(
    network: nn.Module, parameters: dict[str, Tensor], images: Tensor, labels: Tensor
) -> Tensor:
    """Return the gradients (B, P) of every image's cross-entropy, one row per image.

    ``parameters`` replace the network's own. P is the number of their values, in their order.
    ``images`` (B, C, H, W) are normalised; the result is differentiable with respect to them.
    """

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, parameters, (image[None],))
        return F.cross_entropy(logits, label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    return torch.cat([gradients[name].flatten(1) for name in parameters], dim=1)


@dataclass(frozen=True)
class Influence:
    """The influence score of images, by a surrogate at T checkpoints of its training.

    ``parameters`` holds the checkpoints, each tensor (T, ...). ``gradients`` (T, rows, P) is the
    mean loss gradient of a class's real images at every checkpoint, in the order of ``parameters``.
    ``rows`` (classes,) says which row is a class's, for those that images are scored for.
    """

    network: nn.Module
    parameters: dict[str, Tensor]
    gradients: Tensor
    preprocess: Preprocess
    rows: Tensor

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Score images on [0, 1] (B, C, H, W); returns (B,).

        The score is the cosine between an image's parameter gradient and that of its class,
        averaged over the checkpoints. If it is high, a training step on the image resembles one on
        its class.
        """
        images = self.preprocess(images)

        def at(parameters: dict[str, Tensor]) -> Tensor:
            return parameter_gradients(self.network, parameters, images, labels)

        own = vmap(at)(self.parameters)
        return F.cosine_similarity(own, self.gradients[:, self.rows[labels]], dim=2).mean(0)


def save_influence(
    path: str | Path,
    parameters: dict[str, Tensor],
    gradients: Tensor,
    spec: NetworkSpec,
    metadata: dict[str, Any],
) -> None:
    """Write checkpoints and class gradients, as in Influence, and the specification of the network.

    Guidance needs no other file.
    """
    tensors = {f"{PREFIX}{name}": tensor for name, tensor in parameters.items()}
    save_tensors(path, tensors | {"gradients": gradients}, metadata | {"network": spec.entries()})


def load_influence(
    path: str | Path,
    preprocess: Preprocess,
    device: torch.device,
    expected: NetworkInput,
    labels: list[int],
) -> Influence:
    """Rebuild what save_influence wrote, on a device, with the gradients of some classes alone.

    ``expected`` is as for load_network. Raises UserError naming the file unless checkpoints and
    gradients are those of one network.
    """
    tensors, metadata = load_tensors(path)
    network = rebuild(path, metadata, expected)
    weights = {name.removeprefix(PREFIX): tensors[name] for name in tensors if PREFIX in name}
    check_checkpoints(path, network, weights)
    count = len(next(iter(weights.values())))
    values = sum(parameter.numel() for parameter in network.parameters())
    expect(path, tensors, "gradients", torch.float32, count, expected.classes, values)
    parameters = {name: weights[name].to(device) for name, _ in network.named_parameters()}
    network = network.to(device).eval().requires_grad_(False)
    rows = torch.zeros(expected.classes, dtype=torch.long)
    rows[labels] = torch.arange(len(labels))
    gradients = tensors["gradients"][:, labels].to(device)
    return Influence(network, parameters, gradients, preprocess, rows.to(device))


def check_checkpoints(path: str | Path, network: nn.Module, checkpoints: dict[str, Tensor]) -> None:
    """Raise UserError naming the file unless tensors (T, ...) are T checkpoints of a network."""
    count = len(next(iter(checkpoints.values()), ()))
    for name, tensor in network.state_dict().items():
        expect(path, checkpoints, name, tensor.dtype, count, *tensor.shape)
