"""Difficulty of images: the probability of their class while a network trains on them.

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
# A probability's variance is at most that of a fair coin.
LARGEST_VARIANCE = 0.25
# Added to every cell where a divergence would be infinite otherwise; of an image.
PSEUDOCOUNT = 0.5


@torch.inference_mode()
def class_probabilities(model: nn.Module, data: Images, batch: int = 250) -> Tensor:
    """Return the probabilities (N, classes) of unaugmented images, on the CPU."""
    model.eval()
    parts = []
    for rows in torch.arange(len(data.labels)).split(batch):
        images, _ = data.batch(rows)
        parts.append(model(data.preprocess(images)).softmax(1).cpu())
    return torch.cat(parts)


def of_true_class(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the probability (N,) of every image's own class."""
    return probabilities.gather(1, labels.cpu()[:, None]).squeeze(1)


def probabilities_in_training(
    spec: NetworkSpec, data: Images, recipe: WatchedSettings, key: Key, checkpoint: Checkpoint
) -> Tensor:
    """Train a new network on images; return their true class's probability (N, epochs).

    Constant rate, no CutMix: a label that is mixed has no true class. Measured on unaugmented
    images after each of the recipe's epochs.
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
    """Return what is known of every image of a set: ``probabilities`` (N, epochs) and others (N,).

    ``labels``, and by the reference ``confidence`` in the true class and the class ``predicted``.
    The network's first weights and the order of images depend on the seed alone, the same for
    every set.
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

    Raises UserError naming the file where shapes do not fit or a label is none of ``classes``.
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

    A variance from ``informative_variance`` on is informative: the network changed its mind. Of
    the rest, a mean from ``easy_mean`` on is easy, and hard below.
    """
    mu = probabilities.double().mean(1).numpy()
    sigma2 = probabilities.double().var(1, correction=0).numpy()
    still = np.where(mu >= easy_mean, EASY, HARD)
    zone = np.where(sigma2 >= informative_variance, INFORMATIVE, still)
    return pd.DataFrame({"mu": mu, "sigma2": sigma2, "zone": zone})


def histogram(samples: pd.DataFrame, bins: int) -> np.ndarray:
    """Return the number of images per cell of (mu, sigma2), flat: bins x bins cells."""
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

    Unbounded. Half an image is added to every cell, or one empty cell would make it infinite; its
    size depends on that choice, so compare values of equal numbers of images and bins only.
    """
    p, q = (x + PSEUDOCOUNT for x in (counts, others))
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, q))
    return (rel_entr(p, q) + rel_entr(q, p)).sum(-1) / 2 / np.log(2)


DIVERGENCES = {"js": jensen_shannon, "kl": symmetric_kl}
HIGHEST = {"js": 1.0, "kl": np.inf}


def divergence_row(
    samples: pd.DataFrame, real: pd.DataFrame, bins: int, bootstraps: int
) -> dict[str, float]:
    """Return how far the (mu, sigma2) of one set are from those of real images, with intervals.

    Per divergence the estimate, its 95 % interval (1.96 bootstrap standard errors, over images of
    both sets, within the divergence's range), and ``_floor``: the mean between resamples of the
    real set of the two sizes, below which nothing can be told from sampling noise.
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
    """Return the mean of several sets' divergence_row, with 1.96 standard errors over the sets."""
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
    """Return shares of the zones in percent and divergences from the real set, a row per method.

    ``samples`` as from difficulty_frame, with ``method`` and ``seed``, of which ``real`` is the
    name of the real set. Shares are of the images of all seeds. Divergences are from the real
    images of the same seed; with several seeds they are those of mean_divergence. ``n`` are sets,
    each with a network of its own, ``images`` all images.
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
