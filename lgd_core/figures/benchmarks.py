"""Tables and a figure of what `python -m benchmarks` measured.

``python -m lgd_core.figures.benchmarks FILE.jsonl PICTURE.png`` prints the tables and draws the
growth of an increment.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from lgd_core.base.errors import UserError
from lgd_core.figures.making import save_figure
from lgd_core.figures.styles import line_style

Record = dict[str, Any]
COMPARED = "ratio"  # a key that records of comparisons have
GROWN = ("classes", "images", "candidates", "shards")


def read_records(path: str | Path) -> list[Record]:
    """Read the records of a run of the benchmarks; raises UserError where they are none."""
    try:
        records = [json.loads(line) for line in Path(path).read_text().splitlines()]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: found {error}, expected the records of benchmarks") from error
    if not records or not all("benchmark" in record for record in records):
        raise UserError(f"{path}: found other JSON, expected the records of benchmarks")
    return records


def of(records: Sequence[Record], benchmark: str) -> list[Record]:
    """Return the records of a benchmark."""
    return [record for record in records if record["benchmark"] == benchmark]


def comparisons(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row per comparison: milliseconds both ways, ratio, share of the limit."""
    rows = [
        {
            "what": record["benchmark"],
            "per": record["unit"],
            "plain (ms)": round(1000 * record["plain_seconds"], 1),
            "ours (ms)": round(1000 * record["seconds"], 1),
            "ratio": round(record["ratio"], 2),
            "goal": record["goal"],
            "limit (%)": percent(record["share_of_limit"]),
        }
        for record in records
        if COMPARED in record
    ]
    return pd.DataFrame(rows)


def percent(share: float | None) -> float | None:
    """Return a share in percent, rounded."""
    return None if share is None else round(100 * share, 1)


def parts(records: Sequence[Record]) -> pd.DataFrame:
    """Return the milliseconds per kept image of the parts of guided sampling, and their shares."""
    rows = [
        {
            "part": name,
            "ms": round(1000 * seconds, 2),
            "share (%)": percent(seconds / sum(record["seconds"].values())),
        }
        for record in of(records, "parts of guided sampling")
        for name, seconds in record["seconds"].items()
    ]
    return pd.DataFrame(rows)


def growth(records: Sequence[Record]) -> pd.DataFrame:
    """Return seconds and memory of drawing an increment, by what grows."""
    columns = ["grown", *GROWN, "seconds", "memory_mb"]
    found = pd.DataFrame(of(records, "growth"), columns=columns)
    return found.assign(all_shards=found["seconds"] * found["shards"]).round(2)


def imports(records: Sequence[Record]) -> pd.DataFrame:
    """Return what the imports of each rule's script take of the seconds of its jobs."""
    rows = [
        {
            "rule": record["rule"],
            "jobs": record["jobs"],
            "seconds of jobs": round(record["seconds"], 1),
            "imports each": round(record["each"], 2),
            "share (%)": percent(record["jobs"] * record["each"] / record["seconds"]),
        }
        for record in of(records, "imports")
    ]
    return pd.DataFrame(rows)


def readable(records: Sequence[Record]) -> str:
    """Return everything measured as tables for a terminal."""
    lines = (
        [f"{records[0]['hardware']}, torch {records[0]['versions']['torch']}"] if records else []
    )
    for record in of(records, "matrix products"):
        rates = (f"{precision} {rate / 1e9:.0f}" for precision, rate in record["rates"].items())
        lines.append(f"matrix products, billion operations a second: {', '.join(rates)}")
    for table in (comparisons, parts, growth, imports):
        found = table(records)
        if len(found):
            lines += ["", found.to_string(index=False, na_rep="")]
    for record in of(records, "plan"):
        lines += ["", f"snakemake -n {record['command']}: {record['seconds']:.1f} s"]
    lines += overheads(records)
    return "\n".join(lines)


def overheads(records: Sequence[Record]) -> list[str]:
    """Return the line about the share of imports in all jobs, if a run was measured."""
    known = of(records, "imports")
    if not known:
        return ["imports: not measured, since no run is here (`make demo` makes one)"]
    total = sum(record["seconds"] for record in known)
    share = sum(record["jobs"] * record["each"] for record in known) / total
    return [f"imports: {100 * share:.1f} % of {total:.0f} s of jobs"]


def growth_figure(records: Sequence[Record]) -> Figure:
    """Draw how seconds and memory of an increment grow, relative to the smallest."""
    table = growth(records)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for index, name in enumerate(GROWN):
        rows = table.loc[table["grown"] == name].sort_values(by=[name])
        factors = rows[name] / rows[name].iloc[0]
        for axis, column in ((left, "all_shards"), (right, "memory_mb")):
            axis.plot(factors, rows[column], label=label_of(name), **line_style(index))
    for axis, text in ((left, "seconds, all shards"), (right, "memory of a shard's job, MB")):
        logarithmic(axis, sorted(set(table["classes"] / table["classes"].min())))
        axis.set(xlabel="times the smallest number", ylabel=text)
    left.set_yscale("log", base=2)
    left.yaxis.set_major_formatter(ScalarFormatter())
    right.set_ylim(bottom=0)
    left.legend(fontsize=8)
    return figure


def label_of(name: str) -> str:
    """Return what grows, in words."""
    return "images per class" if name == "images" else name


def logarithmic(axis: Axes, factors: Sequence[float]) -> None:
    """Give an axis of factors a logarithmic scale with a tick at each."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(factors), [f"{factor:g}" for factor in factors])
    axis.grid(alpha=0.3)


def main() -> None:
    """Print the tables of a file of records, and draw its growth."""
    path, picture = sys.argv[1:3]
    records = read_records(path)
    print(readable(records))
    facts = {"Title": "Growth of an increment", "Source": str(path)}
    save_figure(growth_figure(records), picture, 110, facts)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
