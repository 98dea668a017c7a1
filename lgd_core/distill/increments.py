"""Increments from every source: the prior, real images, a folder, another method's seed."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.external import seed_images
from lgd_core.config.models.method import CondensationConfig
from lgd_core.config.settings import SeenImages
from lgd_core.data.decoding import decode, fit
from lgd_core.data.real_images import load_split, real_increment
from lgd_core.diffusion.priors import Prior, to_uint8
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.condensation import Condenser, condense, initial_pixels
from lgd_core.distill.coresets import coreset_increment
from lgd_core.distill.selection import Artifacts, IncrementSpec, draw
from lgd_core.networks.features import penultimate
from lgd_core.networks.training import Images


def shard_classes(classes: int, shard: int, shards: int) -> list[int]:
    """Return the labels of one shard: contiguous runs whose lengths differ by one at most."""
    return [part.tolist() for part in np.array_split(np.arange(classes), shards)][shard]


def prior_labels(dataset: dict) -> list[int]:
    """Return the prior's class index of every class of a data set."""
    return dataset["prior_labels"] or list(range(len(dataset["classes"])))


def unguided_increment(
    dataset: dict, method: dict, classes: list[int], key: tuple
) -> IncrementSpec:
    """Describe an increment drawn from the prior alone, one candidate per position."""
    return IncrementSpec(
        classes=classes,
        prior_labels=prior_labels(dataset),
        positions=method["ipc_per_increment"],
        candidates=1,
        sampling=Sampling(
            steps=method["sampler"]["steps"],
            cfg_scale=method["sampler"]["cfg_scale"],
            cfg_channels=method["sampler"]["cfg_channels"],
        ),
        key=key,
        classes_per_batch=method["sampler"]["classes_per_batch"],
        first_position=key[1] * method["ipc_per_increment"],
    )


def guided_increment(dataset: dict, method: dict, classes: list[int], key: tuple) -> IncrementSpec:
    """Describe an increment of a method; ``method`` as from stages.sampling_settings."""
    plain = unguided_increment(dataset, method, classes, key)
    plain = dataclasses.replace(plain, candidates=method["candidates"])
    if "guidance" not in method:
        return plain
    sampling = dataclasses.replace(
        plain.sampling,
        window=tuple(method["window"]),
        through_transformer=method["gradient"] == "full",
    )
    return dataclasses.replace(plain, sampling=sampling, guidance=method["guidance"])


def draw_seed(
    prior: Prior,
    artifacts: Artifacts,
    dataset: dict,
    method: dict,
    seed: int,
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Return increment 0 of a method, not shared with another, as candidates."""
    labels, key = list(range(len(dataset["classes"]))), (seed, 0)
    source = method["seed"]["source"]
    if source == "own":
        return draw_candidates(prior, artifacts, dataset, method, labels, key, checkpoint)[0]
    if source == "real":
        return real_candidates(artifacts.real, len(labels), method, key, prior)
    if source == "folder":
        return folder_candidates(method["seed"]["folder"], dataset, method, prior)
    spec = unguided_increment(dataset, method, labels, key)
    return draw(prior, artifacts, spec, checkpoint)[0]


def draw_candidates(
    prior: Prior,
    artifacts: Artifacts,
    dataset: dict,
    method: dict,
    labels: list[int],
    key: tuple[int, int],
    checkpoint: Checkpoint,
) -> tuple[dict[str, Tensor], dict]:
    """Return the candidates of an increment for the classes ``labels``, and guidance ratios.

    ``key`` is (seed, increment).
    """
    source = method["source"]
    if source == "prior":
        return draw(prior, artifacts, guided_increment(dataset, method, labels, key), checkpoint)
    if source == "real":
        candidates = real_candidates(artifacts.real, len(dataset["classes"]), method, key, prior)
        return {name: tensor[labels] for name, tensor in candidates.items()}, {}
    if source == "condensed":
        arguments = (artifacts.real, dataset, method, labels, key, prior)
        return condensed_candidates(*arguments, checkpoint), {}
    return coreset_candidates(artifacts, dataset, method, labels, key, prior), {}


def real_candidates(
    folder: str | Path, classes: int, method: dict, key: tuple, prior: Prior
) -> dict[str, Tensor]:
    """Return random real images as one candidate per position, shaped as selection.draw does."""
    images, labels = load_split(folder, "originals")
    rows = real_increment(labels, classes, method["ipc_per_increment"], *key)
    return as_candidates(images[rows.flatten()], classes, method, prior)


def coreset_candidates(
    artifacts: Artifacts, dataset: dict, method: dict, labels: list[int], key: tuple, prior: Prior
) -> dict[str, Tensor]:
    """Return real images chosen in the reference's features, as one candidate per position.

    The same for every seed: see coresets.coreset_increment.
    """
    seen = Images.on(prior.device, *load_split(artifacts.real, "train"), _seen_images(dataset))
    features, _ = penultimate(artifacts.reference, seen)
    images, known = load_split(artifacts.real, "originals")
    size = method["ipc_per_increment"]
    rows = coreset_increment(method["source"], features, known, labels, size, key[1])
    return as_candidates(images[rows.flatten()], len(labels), method, prior)


def condensed_candidates(
    folder: str | Path,
    dataset: dict,
    method: dict,
    labels: list[int],
    key: tuple,
    prior: Prior,
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Return images optimised from random real ones, as one candidate per position.

    Increment k starts from real images of its own, those of no other increment.
    """
    recipe = CondensationConfig.model_validate(method["condensation"])
    seen, size = _seen_images(dataset), method["ipc_per_increment"]
    images, known = load_split(folder, "originals")
    held = size * recipe.factor**2
    rows = real_increment(known, len(dataset["classes"]), held, *key)[labels]
    start = initial_pixels(images[rows.flatten()], len(labels), recipe.factor)
    condenser = Condenser(
        Images.on(prior.device, *load_split(folder, "train"), seen),
        labels,
        seen.network(recipe.network.architecture),
        recipe,
        key,
        MicroBatches(max(1, prior.micro_batches.largest // (held + recipe.real_batch))),
    )
    stored = to_uint8(condense(condenser, start, checkpoint))
    return as_candidates(stored.flatten(0, 1), len(labels), method, prior)


def _seen_images(dataset: dict) -> SeenImages:
    known = {key: dataset[key] for key in SeenImages.model_fields if key in dataset}
    return SeenImages.model_validate(known)


def folder_candidates(
    folder: str | Path, dataset: dict, method: dict, prior: Prior
) -> dict[str, Tensor]:
    """Return the first images by name of every class folder, resized and cropped to the data set.

    Raises UserError where folders or images are too few, see external.seed_images.
    """
    image = dataset["image"]
    files = seed_images(folder, dataset, method["ipc_per_increment"])
    images = [fit(decode(file, image["channels"]), image["size"]) for file in files]
    ordered = torch.from_numpy(np.stack(images))
    return as_candidates(ordered, len(dataset["classes"]), method, prior)


def as_candidates(images: Tensor, classes: int, method: dict, prior: Prior) -> dict[str, Tensor]:
    """Shape class-major uint8 images as single candidates, with their latents and no scores."""
    latents = prior.encode(images)
    if method["through_autoencoder"]:
        images = prior.decode_images(latents)
    shape = (classes, method["ipc_per_increment"], 1)
    return {
        "images": images.unflatten(0, shape),
        "latents": latents.unflatten(0, shape),
        "scores": torch.full(shape, torch.nan),
    }
