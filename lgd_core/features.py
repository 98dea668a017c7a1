"""What a network makes of images before its last layer."""

import torch
from torch import Tensor, nn

from lgd_core.training import Images


def embed(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inputs of the last linear layer (N, d) and the logits for normalised images."""
    features: list[Tensor] = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        logits = network(images)
    finally:
        hook.remove()
    return features[0], logits


@torch.inference_mode()
def penultimate(network: nn.Module, data: Images, batch: int = 250) -> tuple[Tensor, Tensor]:
    """Return embed's features (N, d) and logits (N, classes) of a whole set, on the CPU."""
    parts = [
        [part.cpu() for part in embed(network, data.preprocess(data.batch(rows)[0]))]
        for rows in torch.arange(len(data.labels)).split(batch)
    ]
    features, logits = (torch.cat(part) for part in zip(*parts, strict=True))
    return features, logits
