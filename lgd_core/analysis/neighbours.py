"""The nearest real images of a set's images, and their nearest neighbours within the set."""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor, nn

from lgd_core.analysis.diagnosis import duplicate_threshold
from lgd_core.analysis.frames import column, columns, rows_where
from lgd_core.config.settings import SeenImages
from lgd_core.data.real_images import real_increment
from lgd_core.data.streams import StoredPixels, in_batches
from lgd_core.networks.features import nearest, network_vectors, pixel_vectors
from lgd_core.networks.training import Images

REAL_BATCH = 1000
# Number of real images for the threshold of near-duplicates; they are the same for every set.
REAL_SAMPLE = 1000


def neighbours_table(
    table: pd.DataFrame,
    images: Tensor,
    real: tuple[StoredPixels, Tensor],
    network: nn.Module,
    seen: SeenImages,
    names: list[str],
    device: torch.device,
) -> tuple[pd.DataFrame, float]:
    """Return the nearest images of every image of a set, and the threshold of near-duplicates.

    ``table`` has ``file``, ``class`` and ``label`` of the set's uint8 ``images`` (N, C, H, W).
    ``real`` has the images and labels of the training split; they are read in parts, so they may be
    memory-mapped. ``names`` are the names of the classes. The nearest real image is found by cosine
    of the network's features (``reference``) and by correlation of pixels (``pixels``). For each
    the result has its row in the training split, its class and the similarity. ``within`` is the
    nearest other image of the set, by pixels.
    """
    labels = torch.tensor(table["label"].to_numpy())
    own = Images.on(device, images, labels, seen)
    found = columns(table, ["file", "class", "increment"]).copy()
    spaces = {"reference": lambda data: network_vectors(network, data), "pixels": pixel_vectors}
    for space, vectors_of in spaces.items():
        parts = (vectors_of(part) for part in _parts(real, seen, device))
        similarity, row = nearest(vectors_of(own), parts)
        found[f"{space}_row"] = row.numpy()
        found[f"{space}_class"] = [names[label] for label in real[1][row].tolist()]
        found[f"{space}_similarity"] = similarity.double().numpy().round(6)
    vectors = pixel_vectors(own)
    similarity, row = nearest(vectors, vectors.split(REAL_BATCH), torch.arange(len(vectors)))
    found["within_file"] = table["file"].to_numpy()[row]
    found["within_similarity"] = similarity.double().numpy().round(6)
    sample = _sample(real[1], len(names))
    chosen = pixel_vectors(Images.on(device, real[0][sample], real[1][sample], seen))
    others = (pixel_vectors(part) for part in _parts(real, seen, device))
    return found, duplicate_threshold(nearest(chosen, others, sample)[0])


def _parts(
    real: tuple[StoredPixels, Tensor], seen: SeenImages, device: torch.device
) -> Iterator[Images]:
    images, labels = real
    rows = torch.arange(len(labels)).split(REAL_BATCH)
    for part, own in zip(in_batches(images, rows), rows, strict=True):
        yield Images.on(device, part, labels[own], seen)


def _sample(labels: Tensor, classes: int) -> Tensor:
    """Return rows of about 1,000 random real images, equally many of every class."""
    scarcest = int(labels.bincount(minlength=classes).min())
    size = max(1, min(REAL_SAMPLE // classes, scarcest))
    return real_increment(labels, classes, size, 0, 0).flatten()


def near_duplicates(neighbours: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return the images with a near-duplicate in the set, the most similar first."""
    alike = rows_where(neighbours, column(neighbours, "within_similarity") >= threshold)
    told = columns(alike, ["file", "within_file", "within_similarity"])
    return told.sort_values("within_similarity", ascending=False, kind="stable")


def distinct_pairs(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return near_duplicates with each pair once, in whichever order."""
    pairs = columns(duplicates, ["file", "within_file"]).apply(frozenset, axis=1)
    return rows_where(duplicates, ~pairs.duplicated())
