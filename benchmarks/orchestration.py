"""What a run spends on imports, configuration and Snakemake, rather than on its jobs' work."""

import ast
import csv
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Machine

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "workflow_scripts"
# Rules that draw share a script.
DRAWING = "figure.py"


def measured(machine: Machine, folder: Path, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Return a record of a plan's seconds, and one per rule of a run that ``folder`` has.

    ``targets`` are the words after ``snakemake -n`` whose plan is timed.
    """
    plan = seconds(
        [sys.executable, "-m", "snakemake", "-n", "--quiet", *targets], ROOT, machine.repeats
    )
    records = [machine.record("plan", command=" ".join(targets), seconds=plan)]
    for rule, times in recorded(folder).items():
        imports = seconds([sys.executable, "-c", imports_of(rule)], SCRIPTS, machine.repeats)
        records.append(
            machine.record("imports", rule=rule, jobs=len(times), seconds=sum(times), each=imports)
        )
    return records


def seconds(command: list[str], folder: Path, times: int) -> float:
    """Return the wall time of a command, the best of several."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        found.append(time.perf_counter() - start)
    return min(found)


def recorded(folder: Path) -> dict[str, list[float]]:
    """Return the wall times that Snakemake recorded for the jobs of a run, by rule."""
    found = {}
    for rule in sorted(path.name for path in (folder / "results/benchmarks").glob("*")):
        for path in (folder / "results/benchmarks" / rule).glob("*.tsv"):
            with open(path, newline="") as stream:
                rows = csv.DictReader(stream, delimiter="\t")
                found.setdefault(rule, []).extend(float(row["s"]) for row in rows)
    return found


def imports_of(rule: str) -> str:
    """Return the import statements of a rule's script."""
    path = SCRIPTS / f"{rule}.py"
    nodes = ast.parse((path if path.exists() else SCRIPTS / DRAWING).read_text()).body
    return "\n".join(ast.unparse(n) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))
