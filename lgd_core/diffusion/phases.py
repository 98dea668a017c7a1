"""Phases of tuning: parameters of a prior's transformer that are tuned for some of the classes.

A file holds the rows of parameters that tuning has changed, and no others: of a table of labels
those of the phase's classes and of the null class.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lgd_core.base.errors import UserError
from lgd_core.base.tensors import expect, load_tensors

# What the record of a phase says of the prior that was tuned, as that prior's own record does.
BASE = ("contents", "frequency_shift")
_PARTS = ("rows", "values")


@dataclass(frozen=True)
class Phase:
    """Parameters tuned for the classes ``labels`` of the data set, on the CPU.

    By the name of a parameter, ``rows`` (n,) are those that differ from the prior's own along its
    first axis, and ``values`` (n, ...) are what they are tuned to.
    """

    labels: list[int]
    rows: dict[str, Tensor]
    values: dict[str, Tensor]


def trained_names(transformer: nn.Module, patterns: list[str]) -> list[str]:
    """Return the names of the parameters that match a pattern; raises UserError if none does."""
    names = [name for name, _ in transformer.named_parameters()]
    chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise UserError(
            f"finetune.trained: found {', '.join(patterns)}, which match no parameter, "
            f"expected patterns of names such as '{names[0]}'"
        )
    return chosen


def trained_values(transformer: nn.Module, patterns: list[str]) -> dict[str, Tensor]:
    """Return a copy of the parameters that match a pattern, by name, on the CPU."""
    own = dict(transformer.named_parameters())
    names = trained_names(transformer, patterns)
    return {name: own[name].detach().to("cpu", copy=True) for name in names}


def changed_rows(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a phase's file from all tuned parameters before and after, by name.

    They are ``rows.NAME``, int64 (n,), and ``values.NAME`` (n, ...), see Phase.
    """
    found: dict[str, Tensor] = {}
    for name, old in before.items():
        changed = (after[name] != old).reshape(len(old), -1).any(1)
        rows = changed.nonzero().flatten()
        found |= {f"rows.{name}": rows, f"values.{name}": after[name][rows]}
    return found


def load_phase(
    path: str | Path, transformer: nn.Module, base: Mapping[str, Any]
) -> tuple[Phase, dict[str, Any]]:
    """Read a phase's file; return it and its metadata.

    ``base`` has the keys BASE of the prior that the transformer is from. Raises UserError naming
    the file if it is damaged or of another kind, if another prior was tuned, or if names or shapes
    of parameters are not those of the transformer.
    """
    tensors, metadata = load_tensors(path)
    try:
        recipe, tuned = metadata["recipe"], metadata["prior"]
        labels, patterns = recipe["labels"], recipe["finetune"]["trained"]
    except KeyError as error:
        raise UserError(
            f"{path}: found a file without {error}, expected parameters of a tuned prior; "
            "delete it and run again"
        ) from None
    if [tuned.get(key) for key in BASE] != [base[key] for key in BASE]:
        raise UserError(
            f"{path}: found parameters tuned from the prior {tuned.get('contents')}, expected "
            f"{base['contents']}; delete it and run again"
        )
    names = trained_names(transformer, patterns)
    _check(path, tensors, {name: transformer.get_parameter(name) for name in names})
    rows, values = ({name: tensors[f"{part}.{name}"] for name in names} for part in _PARTS)
    return Phase(labels, rows, values), metadata


def _check(
    path: str | Path, tensors: dict[str, Tensor], parameters: Mapping[str, nn.Parameter]
) -> None:
    """Raise UserError unless the tensors are rows of these parameters."""
    expected = {f"{part}.{name}" for name in parameters for part in _PARTS}
    if unknown := sorted(tensors.keys() - expected):
        raise UserError(f"{path}: found {unknown[0]}, expected parameters of the prior alone")
    for name, own in parameters.items():
        expect(path, tensors, f"rows.{name}", torch.int64, None)
        rows = tensors[f"rows.{name}"]
        expect(path, tensors, f"values.{name}", torch.float32, len(rows), *own.shape[1:])
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(own):
            raise UserError(
                f"{path}: rows.{name}: found rows {int(rows.min())} to {int(rows.max())}, "
                f"expected 0 to {len(own) - 1}"
            )


@contextmanager
def applied(transformer: nn.Module, phase: Phase) -> Iterator[None]:
    """Put a phase's parameters over the transformer's own, which are put back at the end."""
    own = {name: transformer.get_parameter(name).data for name in phase.rows}
    rows = {name: kept.to(own[name].device) for name, kept in phase.rows.items()}
    before = {name: own[name][kept] for name, kept in rows.items()}
    try:
        for name, values in phase.values.items():
            own[name][rows[name]] = values.to(own[name].device)
        yield
    finally:
        for name, values in before.items():
            own[name][rows[name]] = values
