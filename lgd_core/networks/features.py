"""Images as vectors to compare them by, and the nearest of them."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.networks.classifiers import resized
from lgd_core.networks.training import Images

# Enough to tell pictures apart, little enough that all real images fit into memory as vectors.
PIXEL_SIDE = 32


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
def penultimate(
    network: nn.Module, data: Images, batch: int = 250, rows: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return embed's features (N, d) and logits (N, classes) of a set or of rows of it."""
    rows = torch.arange(len(data.labels)) if rows is None else rows
    parts = [
        [part.cpu() for part in embed(network, data.preprocess(read.images))]
        for read in data.batches(rows.split(batch))
    ]
    features, logits = (torch.cat(part) for part in zip(*parts, strict=True))
    return features, logits


def network_vectors(network: nn.Module, data: Images) -> Tensor:
    """Return the directions of images in a network's penultimate features, (N, d), length 1."""
    return F.normalize(penultimate(network, data)[0])


def pixel_vectors(data: Images, batch: int = 1000) -> Tensor:
    """Return images as (N, d), of which the inner product is the correlation of their pixels.

    Brightness and contrast drop out. Images are taken at 32 x 32 pixels at most. One of a single
    colour, which has no correlation, is alike all others of a single colour and no other image.
    """
    side = min(PIXEL_SIDE, data.images.shape[-1])
    pixels = torch.cat(
        [resized(read.images, side).flatten(1).cpu() for read in data.in_order(batch)]
    )
    centred = pixels - pixels.mean(1, keepdim=True)
    blank = centred.norm(dim=1, keepdim=True) < 1e-3
    return F.normalize(torch.where(blank, torch.ones_like(centred), centred))


def nearest(
    vectors: Tensor, others: Iterable[Tensor], but: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the greatest cosine of vectors (N, d) of length 1 to any other, and which, (N,) each.

    ``others`` are parts (M_i, d) of one list, by which rows are counted; only one part at a time is
    in memory. Row ``but`` (N,) of the list is not looked at, where a vector is in the list itself.
    """
    similarity = torch.full((len(vectors),), -torch.inf)
    index = torch.full((len(vectors),), -1)
    start = 0
    for part in others:
        cosine = vectors @ part.T
        if but is not None:
            own = ((but >= start) & (but < start + len(part))).nonzero().flatten()
            cosine[own, but[own] - start] = -torch.inf
        found, row = cosine.max(1)
        index = torch.where(found > similarity, row + start, index)
        similarity = torch.maximum(similarity, found)
        start += len(part)
    return similarity, index
