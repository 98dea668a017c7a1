"""Modes of a class's real latents, and guidance of each image towards one of them.

Chan-Santiago et al., "MGD3: Mode-guided dataset distillation using diffusion models" (ICML 2025).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.seeding import derive_seed
from lgd_core.base.tensors import expect, load_tensors
from lgd_core.data.arrays import appending, mapped
from lgd_core.data.streams import StoredPixels, in_batches
from lgd_core.diffusion.guidance import DenoisingStep, noise_change
from lgd_core.diffusion.priors import Prior

# Images encoded before checking whether a checkpoint is due.
BLOCK = 1024


def encode_images(prior: Prior, images: StoredPixels, path: Path, checkpoint: Checkpoint) -> None:
    """Write the scaled latent means (N, c, h, w) of uint8 images (N, C, H, W) to an .npy file.

    Latents are written as they are made, so that memory holds one block of them. A file of an
    interrupted job is continued.
    """
    state = checkpoint.load("latents", "done")
    done = state["done"] if state and path.exists() else 0
    shape = (len(images), *prior.latent_shape)
    blocks = list(torch.split(torch.arange(done, len(images)), BLOCK))
    with progress("encoding", len(images), done) as bar, appending(path, shape, done) as append:
        for rows, block in zip(blocks, in_batches(images, blocks), strict=True):
            append(prior.encode(block).numpy())
            done += len(rows)
            bar.update(len(rows))
            if checkpoint.due():
                checkpoint.save("latents", {"done": done})


def class_modes(
    latents: Tensor,
    labels: Tensor,
    classes: int,
    clusters: int,
    key: tuple[int, ...],
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Cluster every class's latents (N, c, h, w) by k-means, seeded by ``key`` and class.

    Returns ``centres`` (classes, clusters, c, h, w) and ``sizes`` (classes, clusters), the number
    of latents in each cluster. The first centre is that of the largest cluster, and each following
    one is the farthest from those before it, so every prefix covers the class. Raises UserError if
    a class has fewer latents than clusters, or latents that are not finite.
    """
    state = checkpoint.load("modes", "centres", "sizes") or {"centres": [], "sizes": []}
    centres: list[Tensor] = state["centres"]
    sizes: list[Tensor] = state["sizes"]
    for label in range(len(centres), classes):
        of_class = latents[labels == label]
        if len(of_class) < clusters:
            raise UserError(
                f"modes.clusters: found {clusters}, expected at most {len(of_class)}, the number "
                f"of training images of class {label}"
            )
        require_finite(of_class, f"latents of class {label}", "another prior")
        random_state = derive_seed("modes", *key, label) % 2**32
        found, members = map(
            torch.as_tensor, k_means(of_class.flatten(1).numpy(), clusters, random_state)
        )
        counts = members.long().bincount(minlength=clusters)
        order = farthest_first(found, int(counts.argmax()))
        centres.append(torch.unflatten(found[order], 1, latents.shape[1:]))
        sizes.append(counts[order])
        if checkpoint.due():
            checkpoint.save("modes", {"centres": centres, "sizes": sizes})
    return {"centres": torch.stack(centres), "sizes": torch.stack(sizes)}


def k_means(
    points: NDArray[np.float32], clusters: int, random_state: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Cluster points (N, d) by k-means; return centres (clusters, d) and cluster indices (N,)."""
    # Imported here, since it takes a second and jobs that only sample do not need it.
    from sklearn.cluster import KMeans  # pyright: ignore[reportMissingTypeStubs]

    kmeans = cast(Any, KMeans(clusters, n_init="auto", random_state=random_state))
    members = kmeans.fit_predict(points)
    return kmeans.cluster_centers_, members


def load_modes(path: str | Path, classes: int) -> tuple[Tensor, Tensor]:
    """Read what class_modes found: centres (classes, clusters, c, h, w), sizes (classes, clusters).

    Raises UserError naming the file if they have another shape or are not finite.
    """
    tensors, _ = load_tensors(path)
    expect(path, tensors, "centres", torch.float32, classes, None, None, None, None)
    expect(path, tensors, "sizes", torch.int64, *tensors["centres"].shape[:2])
    return tensors["centres"], tensors["sizes"]


def load_latents(path: str | Path, record: str | Path, count: int) -> Tensor:
    """Memory-map the latents (count, c, h, w) of a data set.

    ``record`` is the JSON artifact with the file's digest. Raises UserError for a file that was
    changed, or has another shape.
    """
    latents = mapped(Path(path), read_json(record), np.float32, 4)
    if len(latents) != count:
        raise UserError(f"{path}: found {len(latents)} latents, expected {count}, one per image")
    return torch.as_tensor(latents)


def farthest_first(points: Tensor, first: int) -> Tensor:
    """Return the row indices of points (N, d), each the farthest from those before it."""
    order = [first]
    distances = torch.cdist(points, points[[first]])[:, 0]
    while len(order) < len(points):
        distances[order[-1]] = -1.0  # so that a point already taken is not taken again in a tie
        order.append(int(distances.argmax()))
        distances = distances.minimum(torch.cdist(points, points[order[-1:]])[:, 0])
    return torch.tensor(order)


def cluster_masses(sizes: Tensor) -> Tensor:
    """Return the share of a class's latents in each cluster, of sizes (classes, M)."""
    return sizes.float() / sizes.sum(1, keepdim=True)


def cluster_weights(sizes: Tensor, first: int, positions: int) -> Tensor:
    """Return the weights (classes, positions) of images by the clusters that they are guided to.

    ``sizes`` (classes, M) are the numbers of latents in each cluster; image j of a class, counted
    over all increments, goes to cluster j modulo M, see ModeGuidance. ``first`` is the first j. The
    mean of a class is 1. DDOQ (ICLR 2026), where an image stands for its cluster's share of the
    data.
    """
    own = sizes[:, torch.arange(first, first + positions) % sizes.shape[1]].float()
    return own / own.mean(1, keepdim=True)


@dataclass(frozen=True)
class ModeGuidance:
    """Pull image j of a class to centre j modulo the number of centres.

    MGD3 adds ``strength * sigma * (centre - x0)`` to the mean of the sampler's next latent. In the
    paper sigma is the noise schedule. In its published code, and here, it is the standard deviation
    of the noise that the step adds, learned if the prior learns it. ``centres`` are (classes, M, c,
    h, w).
    """

    centres: Tensor
    strength: float

    def __call__(self, step: DenoisingStep) -> Tensor:
        centre = self.centres[step.labels, step.positions % self.centres.shape[1]]
        shift = self.strength * step.sigma * (centre - step.x0.detach())
        return noise_change(step, shift)
