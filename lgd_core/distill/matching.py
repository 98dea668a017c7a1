"""Objectives of pixel optimisation: distances between synthetic and real images, by a network.

An objective maps a network, real and synthetic normalised images (classes, n, C, H, W) and labels
(classes,) to a distance per class, (classes,), differentiable in the synthetic images.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.networks.augment import augment
from lgd_core.networks.features import embed

Objective = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def distribution(network: nn.Module, real: Tensor, synthetic: Tensor, labels: Tensor) -> Tensor:
    """Return the squared distance of mean embeddings per class.

    Zhao and Bilen, "Dataset Condensation with Distribution Matching" (WACV 2023); the embedding is
    the input of the network's last layer. Labels are not used.
    """
    with torch.no_grad():
        wanted = _mean_embedding(network, real)
    return (_mean_embedding(network, synthetic) - wanted).square().sum(1)


def _mean_embedding(network: nn.Module, images: Tensor) -> Tensor:
    embedded = embed(network, images.flatten(0, 1))[0]
    return torch.unflatten(embedded, 0, images.shape[:2]).mean(1)


def gradient(network: nn.Module, real: Tensor, synthetic: Tensor, labels: Tensor) -> Tensor:
    """Return the L1 distance of loss gradients per class, summed over convolutions' weights.

    Kim et al. (ICML 2022), with the distance and the layers of their ImageNet experiments.
    The classes' gradients are computed one after another: torch.func.vmap would use grouped
    convolutions, which take twice as long on a CPU.
    """
    weights = [parameter for parameter in network.parameters() if parameter.dim() == 4]

    def of_class(images: Tensor, label: Tensor, differentiable: bool) -> tuple[Tensor, ...]:
        loss = F.cross_entropy(network(images), label.expand(len(images)))
        return torch.autograd.grad(loss, weights, create_graph=differentiable)

    def distance(real: Tensor, synthetic: Tensor, label: Tensor) -> Tensor:
        pairs = zip(of_class(real, label, False), of_class(synthetic, label, True), strict=True)
        return torch.stack([(wanted - found).abs().sum() for wanted, found in pairs]).sum()

    classes = zip(real, synthetic, labels, strict=True)
    return torch.stack([distance(*images_and_label) for images_and_label in classes])


OBJECTIVES: dict[str, Objective] = {"distribution": distribution, "gradient": gradient}


def siamese(
    real: Tensor, synthetic: Tensor, recipe: AugmentConfig, rngs: list[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Augment real and synthetic images (classes, n, C, H, W) in the same way, one draw per class.

    Zhao and Bilen, "Dataset Condensation with Differentiable Siamese Augmentation" (ICML 2021),
    with the data set's own augmentation; differentiable.
    """
    both = torch.cat([real, synthetic], dim=1)
    views = [augment(images[None], recipe, rng) for images, rng in zip(both, rngs, strict=True)]
    lengths = [real.shape[1], synthetic.shape[1]]
    real, synthetic = torch.split(torch.cat(views), lengths, dim=1)
    return real, synthetic
