"""What pages say of the methods of a table: which is best, and by how much."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lgd_core.analysis.tables import redundancies
from lgd_core.figures.pages import element

# The method that the table compares with, and the row of a network trained on all real images.
BASE = "dit"
FULL = "full"
ALL_REAL = "all real images"


@dataclass(frozen=True)
class Measured:
    """A number in percent or points, and what follows ±; NaN where there is none."""

    value: float
    spread: float = math.nan

    @property
    def is_known(self) -> bool:
        return not math.isnan(self.value)

    def written(self, signed: bool = False) -> str:
        """Return number and spread as text, both with one decimal; empty for no number."""
        return " ".join(filter(None, (self.number(signed), self.deviation)))

    def number(self, signed: bool = False) -> str:
        """Return the number without its spread; empty for no number."""
        text = f"{self.value:{'+' if signed else ''}.1f}" if self.is_known else ""
        return text.replace("-", "−")

    @property
    def deviation(self) -> str:
        return "" if math.isnan(self.spread) else f"± {self.spread:.1f}"


@dataclass(frozen=True)
class Result:
    """A row of the accuracy table."""

    method: str
    description: str
    student: str
    protocol: str
    n: int
    accuracy: Measured
    best: Measured
    paper: Measured
    difference: Measured
    redundancy: Measured

    @property
    def is_of_a_set(self) -> bool:
        return self.method != FULL


def results_of(
    table: pd.DataFrame, redundancy: pd.DataFrame, descriptions: Mapping[str, str]
) -> list[Result]:
    """Return the rows of the accuracy table, with what else is known of their methods.

    ``table`` as from tables.result_table, ``redundancy`` as from tables.redundancy_table,
    ``descriptions`` a line about each method.
    """
    means = mean_redundancy(redundancy)
    described = {FULL: ALL_REAL, **descriptions}

    def result(row: dict[str, Any]) -> Result:
        method = row["method"]
        return Result(
            method,
            described[method],
            row["student"],
            row["protocol"],
            int(row["n"]),
            accuracy=Measured(row["top1_mean"], row["top1_std"]),
            best=Measured(row["best_top1_mean"], row["best_top1_std"]),
            paper=Measured(row["paper_top1"], row["paper_std"]),
            difference=Measured(row[f"diff_to_{BASE}"], row["diff_se"]),
            redundancy=means.get(method, Measured(math.nan)),
        )

    return [result(row) for row in table.to_dict("records")]


def mean_redundancy(table: pd.DataFrame) -> dict[str, Measured]:
    """Return tables.redundancies of a redundancy table, ± over sets."""
    return {method: Measured(x.mean, x.std) for method, x in redundancies(table).items()}


def by_student(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Return the rows of sets by student and protocol, as words."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.is_of_a_set:
            name = f"{result.student}, protocol {result.protocol}"
            groups.setdefault(name, []).append(result)
    return groups


def best_of_each(results: Sequence[Result]) -> list[Result]:
    """Return the most accurate set for every student and protocol."""
    groups = by_student(results).values()
    return [max(own, key=lambda result: result.accuracy.value) for own in groups]


def answer(results: Sequence[Result]) -> str:
    """Return, as HTML, which method is best and by how much, for every student and protocol."""
    groups = by_student(results)
    lines = [
        (f"{html.escape(name)}: " if len(groups) > 1 else "") + _best_of(own)
        for name, own in groups.items()
    ]
    lines += [
        f"A network trained on {ALL_REAL} reaches {result.accuracy.written()} %."
        for result in results
        if not result.is_of_a_set
    ]
    return "\n".join(element("p", line) for line in lines)


def _best_of(results: Sequence[Result]) -> str:
    """Return, as HTML, a sentence on the best of some methods and one on the next."""
    first, *others = sorted(results, key=lambda result: -result.accuracy.value)
    text = f"{_name(first)} is the most accurate: {_accuracy(first)} (n = {first.n})"
    if first.difference.is_known:
        apart = Measured(abs(first.difference.value), first.difference.spread)
        side = "above" if first.difference.value >= 0 else "below"
        text += f", {element('strong', f'{apart.written()} points')} {side} {BASE}"
    return f"{text}. {_next(first, others[0])}" if others else f"{text}."


def _next(first: Result, second: Result) -> str:
    gap = first.accuracy.value - second.accuracy.value
    spreads = [x for x in (first.accuracy.spread, second.accuracy.spread) if not math.isnan(x)]
    near = ", within one standard deviation" if gap <= max(spreads, default=0) else ""
    return f"Next is {_name(second)}: {_accuracy(second)}{near}."


def _name(result: Result) -> str:
    return element("strong", html.escape(result.method))


def _accuracy(result: Result) -> str:
    return element("strong", f"{result.accuracy.written()} %")
