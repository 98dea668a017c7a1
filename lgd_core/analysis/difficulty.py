"""Difficulty of images: the probability of their true class while a network trains on them.

Dataset cartography (Swayamdipta et al., 2020): mean and variance over the epochs of the probability
of the true class; paper, Section 5.4 and Fig. 5.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import rel_entr
from torch import Tensor, nn

from lgd_core.analysis.frames import column, rows_where
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.progress import progress
from lgd_core.base.seeding import Key, derive_seed
from lgd_core.base.tensors import expect, load_tensors
from lgd_core.config.settings import NetworkSpec, WatchedSettings
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import (
    Images,
    class_loss,
    optimiser_for,
    restore,
    snapshot,
    train_epoch,
)

EASY, INFORMATIVE, HARD = ZONES = ("easy", "informative", "hard")
# The largest variance of values in [0, 1].
LARGEST_VARIANCE = 0.25
# In images; added to every cell of a histogram if its divergence could be infinite.
PSEUDOCOUNT = 0.5


@torch.inference_mode()
def class_probabilities(model: nn.Module, data: Images, batch: int = 250) -> Tensor:
    """Return the probabilities (N, classes) of unaugmented images, on the CPU."""
    model.eval()
    parts = []
    for read in data.in_order(batch):
        parts.append(model(data.preprocess(read.images)).softmax(1).cpu())
    return torch.cat(parts)


def of_true_class(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the probability (N,) of every image's own class."""
    return probabilities.gather(1, labels.cpu()[:, None]).squeeze(1)


def probabilities_in_training(
    spec: NetworkSpec, data: Images, recipe: WatchedSettings, key: Key, checkpoint: Checkpoint
) -> Tensor:
    """Train a new network on images; return their true class's probability (N, epochs).

    The learning rate is constant. There is no CutMix, since a mixed image has no true class. The
    probability is measured on unaugmented images after each of the recipe's epochs.
    """
    model = build_network(spec, *key).to(data.device)
    optimiser = optimiser_for(model, recipe.lr, recipe.weight_decay)
    parts = {"model": model, "optimiser": optimiser}
    state = checkpoint.load("difficulty", *parts, "seen") or {"seen": []}
    restore(parts, state)
    seen: list[Tensor] = state["seen"]
    with progress("difficulty", recipe.epochs, len(seen)) as bar:
        for epoch in range(len(seen), recipe.epochs):
            train_epoch(model, optimiser, data, recipe.batch, class_loss(False), (*key, epoch))
            seen.append(of_true_class(class_probabilities(model, data), data.labels))
            bar.set_postfix(p=f"{seen[-1].mean():.3f}", refresh=False)
            bar.update()
            if checkpoint.due():
                checkpoint.save("difficulty", snapshot(parts) | {"seen": seen})
    return torch.stack(seen, dim=1)


def measure(
    spec: NetworkSpec,
    data: Images,
    reference: nn.Module,
    recipe: WatchedSettings,
    seed: int,
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Return the measurements of every image of a set: ``probabilities`` (N, epochs), others (N,).

    The others are ``labels``, the reference's ``confidence`` in the true class and the class that
    it ``predicted``. The network's first weights and the order of images depend on the seed alone,
    not on the set.
    """
    of_reference = class_probabilities(reference, data)
    watched = probabilities_in_training(spec, data, recipe, ("difficulty", seed), checkpoint)
    return {
        "probabilities": watched,
        "labels": data.labels,
        "confidence": of_true_class(of_reference, data.labels),
        "predicted": of_reference.argmax(1),
    }


def load_measured(path: str | Path, classes: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what measure found, with ``positions`` and ``increments`` (N,), and the metadata.

    Raises UserError naming the file if shapes do not fit or labels are not below ``classes``.
    """
    tensors, metadata = load_tensors(path)
    expect(path, tensors, "probabilities", torch.float32, None, None)
    count = len(tensors["probabilities"])
    expect(path, tensors, "confidence", torch.float32, count)
    for name in ("labels", "predicted", "positions", "increments"):
        expect(path, tensors, name, torch.int64, count)
    labels = tensors["labels"]
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(f"{path}: labels: found others than 0 to {classes - 1}, expected classes")
    return tensors, metadata


def difficulty_frame(
    probabilities: Tensor, easy_mean: float, informative_variance: float
) -> pd.DataFrame:
    """Return ``mu``, ``sigma2`` and ``zone`` of every image from probabilities (N, epochs).

    An image is informative if its variance is at least ``informative_variance``. Of the others, an
    image is easy if its mean is at least ``easy_mean``, and hard if it is below.
    """
    mu = probabilities.double().mean(1).numpy()
    sigma2 = probabilities.double().var(1, correction=0).numpy()
    still = np.where(mu >= easy_mean, EASY, HARD)
    zone = np.where(sigma2 >= informative_variance, INFORMATIVE, still)
    return pd.DataFrame({"mu": mu, "sigma2": sigma2, "zone": zone})


def histogram(samples: pd.DataFrame, bins: int) -> np.ndarray:
    """Return the number of images per cell of (mu, sigma2), as a vector of bins x bins cells."""
    limits = ((0, 1), (0, LARGEST_VARIANCE))
    return np.histogram2d(samples["mu"], samples["sigma2"], bins, limits)[0].flatten()


def jensen_shannon(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence, base 2, of histograms (..., cells): 0 to 1."""
    p, q = (x / x.sum(-1, keepdims=True) for x in (counts, others))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle) + rel_entr(q, middle)).sum(-1) / 2
    return np.clip(nats / np.log(2), 0, 1)


def symmetric_kl(counts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the mean in bits of the two Kullback-Leibler divergences of histograms (..., cells).

    It is unbounded. Half an image is added to every cell, since an empty cell would make it
    infinite. The value depends on this choice, so compare only values for the same numbers of
    images and bins.
    """
    p, q = (x + PSEUDOCOUNT for x in (counts, others))
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, q))
    return (rel_entr(p, q) + rel_entr(q, p)).sum(-1) / 2 / np.log(2)


DIVERGENCES = {"js": jensen_shannon, "kl": symmetric_kl}
HIGHEST = {"js": 1.0, "kl": np.inf}


def divergence_row(
    samples: pd.DataFrame, real: pd.DataFrame, bins: int, bootstraps: int
) -> dict[str, float]:
    """Return the divergences of one set's (mu, sigma2) from those of real images, with intervals.

    The row has, per divergence, the estimate and its 95 % interval: 1.96 bootstrap standard errors,
    over images of both sets, cut to the divergence's range. ``_floor`` is the mean divergence
    between two resamples of the real set with the sizes of the two sets. Values below it cannot be
    distinguished from sampling noise.
    """
    counts, others = histogram(samples, bins), histogram(real, bins)
    resampled, first, second = (
        _resample(which, size, bootstraps, name)
        for which, size, name in (
            (counts, len(samples), "set"),
            (others, len(real), "real"),
            (others, len(samples), "floor"),
        )
    )
    row = {}
    for name, divergence in DIVERGENCES.items():
        value = float(divergence(counts, others))
        error = divergence(resampled, first).std(ddof=1)
        row |= {name: value} | _interval(name, value, error)
        row[f"{name}_floor"] = float(divergence(second, first).mean())
    return row


def mean_divergence(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean divergence_row of several sets, with 1.96 standard errors over the sets."""
    table = pd.DataFrame(rows)
    row = table.mean().to_dict()
    for name in DIVERGENCES:
        row |= _interval(name, row[name], table[name].std() / np.sqrt(len(table)))
    return row


def _interval(name: str, value: float, error: float) -> dict[str, float]:
    """Return 1.96 standard errors around a divergence, within its range."""
    half = 1.96 * error
    return {
        f"{name}_low": max(0.0, value - half),
        f"{name}_high": min(HIGHEST[name], value + half),
    }


def _resample(counts: np.ndarray, size: int, times: int, name: str) -> np.ndarray:
    """Draw histograms (times, cells) of ``size`` images with replacement."""
    rng = np.random.default_rng(derive_seed("bootstrap", name))
    return rng.multinomial(size, counts / counts.sum(), times).astype(float)


def divergence_table(
    samples: pd.DataFrame, real: str, methods: Sequence[str], bins: int, bootstraps: int
) -> pd.DataFrame:
    """Return shares of the zones in percent and divergences from the real set, one row per method.

    ``samples`` as from difficulty_frame, with ``method`` and ``seed``; ``real`` is the method's
    name in the rows of the real set. Shares are over the images of all seeds. Divergences are from
    the real images of the same seed; with several seeds they are those of mean_divergence. ``n`` is
    the number of sets, each with its own network, and ``images`` the number of all images.
    """
    rows = []
    of_method = column(samples, "method")
    of_real = dict(iter(rows_where(samples, of_method == real).groupby("seed")))
    for method in (*methods, real):
        own = rows_where(samples, of_method == method)
        shares = {zone: 100 * float((column(own, "zone") == zone).mean()) for zone in ZONES}
        row = {"method": method, "n": column(own, "seed").nunique(), "images": len(own)} | shares
        if method != real:
            sets = [
                divergence_row(images, of_real[seed], bins, bootstraps)
                for seed, images in own.groupby("seed")
            ]
            row |= sets[0] if len(sets) == 1 else mean_divergence(sets)
        rows.append(row)
    return pd.DataFrame(rows)
