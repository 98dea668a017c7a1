"""Measure the share of a finished run spent on imports, and the time for building the DAG.

``python benchmarks/overhead.py TARGET``, in the folder that contains the run's ``results``.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

IMPORTS = {
    "train_reference": "lgd_core.networks.training",
    "train_learner": "lgd_core.networks.learner",
    "evaluate": "lgd_core.evaluation.students",
    "cross_increment": "lgd_core.evaluation.students",
    "seed_increment": "lgd_core.distill.increments",
    "sample_candidates": "lgd_core.distill.increments, lgd_core.networks.training",
}


def seconds(command: list[str]) -> float:
    """Return the wall time of a command, the better of two."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def recorded(rule: str) -> list[float]:
    """Return the wall times that Snakemake recorded for a rule's jobs."""
    times = []
    for path in Path("results/benchmarks", rule).glob("*.tsv"):
        with open(path, newline="") as stream:
            times += [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
    return times


def main() -> None:
    """Print one line per rule, the share of imports in all jobs, and the time of the DAG."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", help="a file of the finished run, for the time of its DAG")
    target = parser.parse_args().target
    if not any(map(recorded, IMPORTS)):
        sys.exit("error: results/benchmarks: found no times of jobs, expected a finished run here")
    total = imports = 0.0
    cost = {what: seconds([sys.executable, "-c", f"import {what}"]) for what in IMPORTS.values()}
    for rule, what in IMPORTS.items():
        jobs = recorded(rule)
        total, imports = total + sum(jobs), imports + len(jobs) * cost[what]
        print(f"{rule:18s} {len(jobs):3d} jobs {sum(jobs):8.1f} s, imports {cost[what]:.1f} s each")
    dag = seconds([sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--", target])
    print(f"imports: {imports:.1f} s of {total:.1f} s of jobs ({100 * imports / total:.1f} %)")
    print(f"DAG: {dag:.1f} s a call")


if __name__ == "__main__":
    main()
