"""Choosing among the candidates of an increment, and building the increment from those chosen."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.tensors import expect, load_tensors
from lgd_core.config.settings import ChoiceSettings, StoredImages
from lgd_core.data.distilled import load_increment

# Of a candidate, what an increment has of it.
KEPT = ("images", "latents", "scores")
# Metadata of an increment about how its shards were drawn: one value, or a list if they differ.
DRAWN = ("recipe", "prior", "networks", "precision", "device", "hardware", "versions")


def select(scores: Tensor) -> Tensor:
    """Return the candidate of highest score (Eq. 9) along the last axis; the first where tied."""
    # Unscored candidates are NaN, which would win every comparison.
    return scores.nan_to_num(nan=-torch.inf).argmax(-1)


def take(candidates: Tensor, chosen: Tensor) -> Tensor:
    """Return (classes, positions, ...) from candidates (classes, positions, kappa, ...)."""
    index = chosen.view(*chosen.shape, *(1,) * (candidates.dim() - 2))
    return candidates.take_along_dim(index, dim=2).squeeze(2)


def of_each_position(chosen: Tensor, candidates: int) -> Tensor:
    """Return candidates chosen position by position (classes, positions) as a ChoiceKind does."""
    return torch.arange(chosen.shape[1]) * candidates + chosen


def best_of_positions(scores: Tensor) -> Tensor:
    """Return the candidate of highest score at every position, as a ChoiceKind does."""
    return of_each_position(select(scores), scores.shape[2])


def build_increment(
    candidates: dict[str, Tensor], labels: list[int], chosen: Tensor
) -> dict[str, Tensor]:
    """Keep the chosen candidates (classes, positions) of a ChoiceKind; return an increment.

    It has ``images``, ``latents``, ``scores``, ``labels``, ``positions`` and where an image was
    drawn, ``drawn_positions`` and ``candidates``; each is (classes x positions, ...), class by
    class. It has ``weights`` where the candidates have some.
    """
    classes, positions, count = candidates["scores"].shape
    kept = {name: candidates[name].flatten(1, 2) for name in KEPT}
    kept = {name: _rows(tensor, chosen).flatten(0, 1) for name, tensor in kept.items()}
    if "weights" in candidates:
        kept["weights"] = _rows(candidates["weights"], chosen // count).flatten()
    return kept | {
        "labels": torch.tensor(labels).repeat_interleave(positions),
        "positions": torch.arange(positions).repeat(classes),
        "drawn_positions": chosen.flatten() // count,
        "candidates": chosen.flatten() % count,
    }


def _rows(tensor: Tensor, chosen: Tensor) -> Tensor:
    """Return (classes, positions, ...) of a tensor (classes, n, ...)."""
    return tensor[torch.arange(len(tensor))[:, None], chosen]


def stack_memory(increments: Sequence[dict[str, Tensor]], classes: int) -> Tensor:
    """Return the latents of increments as memory (classes, M, c, h, w), oldest first."""
    return torch.cat([tensors["latents"].unflatten(0, (classes, -1)) for tensors in increments], 1)


def load_memory(
    paths: Sequence[str | Path], stored: StoredImages, size: int, labels: list[int]
) -> Tensor:
    """Read the latents of some classes in increments 0, 1, ...: memory (labels, M, c, h, w).

    The rows are in the order of ``labels``, the latents of a class oldest first. Files are checked
    as a whole, see load_increment, but only the rows of these classes are kept in memory.
    """
    shape = (stored.classes, size)
    latents = (load_increment(path, stored, size)[0]["latents"] for path in paths)
    return torch.cat([torch.unflatten(whole, 0, shape)[labels] for whole in latents], 1)


def load_candidates(
    path: str | Path, stored: StoredImages
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the candidates of some classes, made by drawing.draw, and their metadata.

    The metadata have the classes, ``labels``. Raises UserError naming the file unless images have
    the shape in ``stored``, scores and latents match them in number, and latents are finite.
    """
    tensors, metadata = load_tensors(path)
    count = len(metadata.get("labels", ()))
    expect(path, tensors, "images", torch.uint8, count, None, None, *stored.shape)
    drawn = tensors["images"].shape[:3]
    expect(path, tensors, "latents", torch.float32, *drawn, None, None, None)
    expect(path, tensors, "scores", torch.float32, *drawn, finite=False)
    for name in measured_of(tensors).keys() - {"scores"}:
        expect(path, tensors, name, torch.float32, count, *[None] * (tensors[name].dim() - 1))
    return tensors, metadata


def measured_of(candidates: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what was measured of candidates and their classes, without the images themselves."""
    return {name: part for name, part in candidates.items() if name not in ("images", "latents")}


def load_shards(
    paths: Sequence[str | Path], stored: StoredImages
) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Read the shards of an increment one by one: candidates and metadata of each.

    Raises UserError naming the first file whose classes do not follow those of the file before it,
    or whose numbers of positions and candidates differ from the first file's.
    """
    labels, drawn = list(range(stored.classes)), None
    for path in paths:
        tensors, metadata = load_candidates(path, stored)
        own, labels = labels[: len(metadata["labels"])], labels[len(metadata["labels"]) :]
        drawn = drawn or tensors["scores"].shape[1:]
        if metadata["labels"] != own or tensors["scores"].shape[1:] != drawn:
            raise UserError(
                f"{path}: found classes {_span(metadata['labels'])} with "
                f"{tuple(tensors['scores'].shape[1:])} positions and candidates, expected classes "
                f"{_span(own)} with {tuple(drawn)}"
            )
        yield tensors, metadata
    if labels:
        raise UserError(f"{paths[-1]}: found it last, expected classes {_span(labels)} after it")


def select_shards(
    paths: Sequence[str | Path], stored: StoredImages, choice: ChoiceSettings | None = None
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Keep the chosen candidates of all shards of an increment; return it and each one's metadata.

    The increment is that of build_increment for all classes. Candidates that were not chosen are in
    memory for one shard at a time; a choice over all classes reads the shards twice. Errors are
    those of load_shards.
    """
    choice = choice or ChoiceSettings()
    whole = _chosen_together(paths, stored, choice) if choice.kind.scope == "set" else None
    increment: dict[str, Tensor] = {}
    stamps: list[dict[str, Any]] = []
    filled = 0
    for candidates, metadata in load_shards(paths, stored):
        labels = metadata["labels"]
        own = choose(choice, candidates) if whole is None else whole[labels]
        kept = build_increment(candidates, labels, own)
        count = len(kept["labels"])
        if not increment:
            images = stored.classes * candidates["scores"].shape[1]
            increment = {k: part.new_empty(images, *part.shape[1:]) for k, part in kept.items()}
        for name, part in kept.items():
            increment[name][filled : filled + count] = part
        filled += count
        stamps.append(metadata)
    return increment, stamps


def choose(choice: ChoiceSettings, candidates: dict[str, Tensor]) -> Tensor:
    """Return the candidates (classes, positions) that a rule chooses, see ChoiceKind."""
    return choice.kind.choose(choice.keys, measured_of(candidates))


def _chosen_together(
    paths: Sequence[str | Path], stored: StoredImages, choice: ChoiceSettings
) -> Tensor:
    """Return the choice among the candidates of all shards."""
    parts = [measured_of(candidates) for candidates, _ in load_shards(paths, stored)]
    return choose(choice, {name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def _span(labels: list[int]) -> str:
    return f"{labels[0]} to {labels[-1]}" if labels else "none"


def drawn_by(stamps: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the keys of ``DRAWN`` for an increment, from the metadata of its shards."""
    known = {key: [stamp.get(key) for stamp in stamps] for key in DRAWN}
    return {
        key: values[0] if all(value == values[0] for value in values) else values
        for key, values in known.items()
    }
