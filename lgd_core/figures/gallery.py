"""A page for looking at distilled sets: one file with all images, which needs no server."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lgd_core.config.settings import SeenImages
from lgd_core.distill.selection import stack_memory
from lgd_core.figures.pages import as_json, filled, joined_files
from lgd_core.figures.result_tables import (
    ACCURACY,
    COUNT,
    DIFFERENCE,
    REDUNDANCY,
    Column,
    filled_columns,
    html_table,
    method_link,
)
from lgd_core.figures.results import Result, answer, by_student
from lgd_core.networks.training import Images

ACROSS, PER_SHEET = 20, 400
# From this side on, images count as photographs, which are several times larger as PNG.
LOSSY_FROM = 64
QUALITY = 90
REDUCED_AT_ONCE = 500
# Columns of the page's table; ``nearest`` is the row of the nearest image in memory.
COLUMNS = (
    "method",
    "seed",
    "class",
    "increment",
    "position",
    "score",
    "learner",
    "reference",
    "nearest",
    "cosine",
)


@torch.inference_mode()
def losses(network: nn.Module, data: Images, batch: int = 250) -> Tensor:
    """Return the cross-entropy (N,) of every unaugmented image."""
    network.eval()
    parts = []
    for images, labels, _ in data.in_order(batch):
        logits = network(data.preprocess(images))
        parts.append(F.cross_entropy(logits, labels, reduction="none").cpu())
    return torch.cat(parts)


def nearest_before(memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest cosine of each latent to an earlier one of its class, and its index.

    ``memory`` (classes, M, ...) is oldest first. Both results are (classes, M), with NaN and -1 for
    the first latent.
    """
    directions = F.normalize(memory.flatten(2).float(), dim=2)
    cosine = directions @ directions.mT
    later = torch.ones(cosine.shape[1:], dtype=torch.bool).triu()
    cosine, index = cosine.masked_fill(later, -torch.inf).max(2)
    first = torch.arange(memory.shape[1]) == 0
    return cosine.masked_fill(first, torch.nan), index.masked_fill(first, -1)


def set_table(
    increments: Sequence[dict[str, Tensor]],
    factor: int,
    learners: Sequence[nn.Module],
    reference: nn.Module,
    seen: SeenImages,
    device: torch.device,
) -> pd.DataFrame:
    """Return the measurements of every image of one set, by increment, class and position.

    ``increments`` 0 to K - 1 as from selection.build_increment; each stored image contains factor
    x factor smaller ones. ``learners`` are those of increments 0 to K - 2.

    ``score`` is S at the time when the image was chosen. ``learner`` is the loss of the learner
    before the increment, NaN for increment 0, and ``reference`` that of the reference model. Both
    are means over the images in a stored one. ``nearest`` is the row of the nearest earlier image
    in memory, -1 for none, and ``cosine`` the cosine of their latents.
    """

    def loss_of(network: nn.Module, data: Images) -> Tensor:
        return losses(network, data).unflatten(0, (-1, factor**2)).mean(1)

    classes = seen.classes
    memory = stack_memory(list(increments), classes)
    cosine, index = nearest_before(memory)
    positions = memory.shape[1] // len(increments)
    own = torch.arange(classes)[:, None]
    row = index // positions * classes * positions + own * positions + index % positions
    row = torch.where(index < 0, -1, row)
    tables = []
    for k, tensors in enumerate(increments):
        labels = tensors["labels"]
        data = Images.of_set(device, tensors["images"], labels, factor, seen)
        part = slice(k * positions, (k + 1) * positions)
        columns = {
            "class": labels,
            "increment": torch.full_like(labels, k),
            "position": tensors["positions"],
            "score": tensors["scores"],
            "learner": loss_of(learners[k - 1], data) if k else torch.full(labels.shape, torch.nan),
            "reference": loss_of(reference, data),
            "nearest": row[:, part].flatten(),
            "cosine": cosine[:, part].flatten(),
        }
        tables.append(pd.DataFrame({name: values.numpy() for name, values in columns.items()}))
    return pd.concat(tables, ignore_index=True)


def joined(sets: Mapping[tuple[str, int], pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of all sets, keyed by (method, seed), as one, in the order given."""
    tables, start = [], 0
    for (method, seed), table in sets.items():
        nearest = table["nearest"].where(table["nearest"] < 0, table["nearest"] + start)
        tables.append(table.assign(method=method, seed=seed, nearest=nearest))
        start += len(table)
    return pd.concat(tables, ignore_index=True).loc[:, list(COLUMNS)]


def reduced(images: Tensor, side: int) -> Tensor:
    """Return uint8 images (N, C, H, W) at a side of at most ``side`` pixels."""
    if images.shape[-1] <= side:
        return images
    parts = (
        F.interpolate(part.float(), side, mode="bilinear", antialias=True)
        for part in images.split(REDUCED_AT_ONCE)
    )
    return torch.cat([part.clamp(0, 255).round().to(torch.uint8) for part in parts])


def sprite_sheets(images: Tensor) -> list[tuple[str, bytes]]:
    """Return uint8 images (N, C, H, W) as sheets of 20 x 20: kind of file and contents of each."""
    return [_sheet(part) for part in images.split(PER_SHEET)]


def _sheet(images: Tensor) -> tuple[str, bytes]:
    n, channels, side, _ = images.shape
    cells = torch.zeros(PER_SHEET, channels, side, side, dtype=torch.uint8)
    cells[:n] = images
    rows = cells.unflatten(0, (-1, ACROSS)).permute(0, 3, 1, 4, 2)
    pixels = rows.reshape(PER_SHEET // ACROSS * side, ACROSS * side, channels).squeeze(2).numpy()
    kind = "jpeg" if side >= LOSSY_FROM else "png"
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind, quality=QUALITY)
    return kind, stream.getvalue()


@dataclass(frozen=True)
class Gallery:
    """What a page shows.

    ``table`` as from joined, ``images`` uint8 (N, C, H, W) in its order, ``classes`` their names,
    ``results`` as from results.results_of, ``evidence`` a line on the origin of the numbers.
    """

    title: str
    table: pd.DataFrame
    images: Tensor
    classes: Sequence[str]
    results: Sequence[Result]
    evidence: str

    def page(self) -> str:
        """Return one page with all images."""
        sheets = [
            (f"image/{kind}", base64.b64encode(contents).decode())
            for kind, contents in sprite_sheets(self.images)
        ]
        facts = {"images": len(self.table), "columns": _columns(self._numbered), "sheets": sheets}
        return self._filled(facts, ["gallery.js"])

    def index(self, labels: Sequence[range], folder: str) -> str:
        """Return the page of a set of many classes, which shows one group of them at a time.

        ``labels`` as for write_groups; ``folder`` is the address of its files as seen from the
        page. The page itself has no images.
        """
        facts = {
            "images": 0,
            "columns": {name: [] for name in COLUMNS},
            "sheets": [],
            "folder": folder,
            "groups": [[own.start, own.stop] for own in labels],
            "values": {key: sorted(set(self.table[key].tolist())) for key in ("increment", "seed")},
        }
        return self._filled(facts, ["gallery.js", "gallery_groups.js"])

    def write_groups(self, folder: Path, labels: Sequence[range]) -> None:
        """Write what the page of many classes loads into a folder, a script per group of them.

        ``labels`` are the classes of every group. A script has the group's columns, its rows
        numbered from 0, and the names of its sheets, which are files.
        """
        numbered = self._numbered
        for group, own in enumerate(labels):
            rows = np.flatnonzero(self.table["class"].isin(own))
            place = pd.Series(np.arange(len(rows)), index=rows)
            part = numbered.iloc[rows]
            # The nearest image is of the same class, and so in the group.
            nearest = part["nearest"].map(place).fillna(-1)
            sheets = sprite_sheets(self.images[torch.from_numpy(rows)])
            names = [f"{group}_{index}.{kind}" for index, (kind, _) in enumerate(sheets)]
            for name, (_, contents) in zip(names, sheets, strict=True):
                (folder / name).write_bytes(contents)
            columns = _columns(part.assign(nearest=nearest))
            facts = as_json({"images": len(rows), "columns": columns, "sheets": names})
            (folder / f"{group}.js").write_text(f"take({group}, {facts});\n", encoding="utf-8")

    @property
    def _methods(self) -> list[str]:
        return list(dict.fromkeys(self.table["method"]))

    @property
    def _numbered(self) -> pd.DataFrame:
        """The table with methods by their number."""
        return self.table.assign(method=self.table["method"].map(self._methods.index))

    def _filled(self, facts: dict[str, Any], scripts: Sequence[str]) -> str:
        data = facts | {
            "side": self.images.shape[-1],
            "across": ACROSS,
            "per_sheet": PER_SHEET,
            "names": {"method": self._methods, "class": list(self.classes)},
            "accuracies": _accuracies(self.results),
        }
        parts = {
            "TITLE": html.escape(self.title),
            "ANSWER": answer(self.results),
            "TABLE": _methods_table(self.results),
            "EVIDENCE": html.escape(self.evidence),
            "STYLE": joined_files(["pages.css", "gallery.css"]),
            "SCRIPT": joined_files(scripts),
            "DATA": as_json(data),
        }
        return filled("gallery.html", parts)


def groups_of(classes: int, size: int) -> list[range]:
    """Return the labels of classes in groups of ``size``, the last of what is left."""
    return [range(start, min(start + size, classes)) for start in range(0, classes, size)]


def _accuracies(results: Sequence[Result]) -> dict[str, str]:
    """Return the accuracy of every method, in percent, by the first student and protocol."""
    first = next(iter(by_student(results).values()))
    return {result.method: result.accuracy.written() for result in first}


def _methods_table(results: Sequence[Result]) -> str:
    """Return a short table of the methods, whose names are links to their images, as HTML."""
    shown = [Column("method", method_link), ACCURACY, COUNT, DIFFERENCE, REDUNDANCY]
    full = [result for result in results if not result.is_of_a_set]
    groups = by_student(results) | {result.description: [result] for result in full}
    # All of one student are one group, without headings.
    groups = groups if len(groups) > 1 + len(full) else {"": results}
    return html_table(groups, filled_columns(results, shown), "Accuracies", sortable=False)


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return columns for JSON; null stands for missing numbers."""
    numbers = ("score", "learner", "reference", "cosine")
    columns = {name: table[name].astype(int).tolist() for name in COLUMNS if name not in numbers}
    columns["nearest"] = [None if row < 0 else row for row in columns["nearest"]]
    for name in numbers:
        values = table[name].astype(float).to_numpy()
        columns[name] = [round(x, 6) if np.isfinite(x) else None for x in values.tolist()]
    return columns
