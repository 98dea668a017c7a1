"""``python -m benchmarks``: measure the project beside the plain way; records as lines of JSON."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import growth, orchestration, sampling, training
from benchmarks.measuring import SIZES, Machine, matrix_rates
from lgd_core.base.devices import resolve_device
from lgd_core.base.files import atomic

Record = dict[str, Any]
PLAN = ["--configfile", "config/comparison.yaml", "--config", "datasets=[fashionmnist]"]


def rates(machine: Machine) -> list[Record]:
    return [machine.record("matrix products", rates=matrix_rates(machine))]


def guided(machine: Machine) -> list[Record]:
    half = machine.device.type == "cuda"
    exact = sampling.position(machine, max_batch=64, half=False)
    at = sampling.position(machine, max_batch=64, half=True) if half else exact
    rate = matrix_rates(machine)["bf16" if half else "fp32"]
    compared = sampling.comparisons(at, exact, machine.size)
    return [*(each.run(machine, rate) for each in compared), sampling.parts(at, machine)]


def trained(machine: Machine) -> list[Record]:
    rate = matrix_rates(machine)["fp32"]
    with tempfile.TemporaryDirectory() as folder:
        return [training.comparison(training.epoch(machine, Path(folder))).run(machine, rate)]


BENCHMARKS: dict[str, Callable[[Machine], list[Record]]] = {
    "rates": rates,
    "sampling": guided,
    "training": trained,
    "growth": growth.measured,
    "orchestration": lambda machine: orchestration.measured(machine, Path(), PLAN),
}


def main() -> None:
    """Measure, and write a line of JSON per record to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small", help="full: DiT-XL/2, for a GPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--repeats", type=int, default=3, help="calls of each way")
    parser.add_argument("--only", choices=BENCHMARKS, nargs="+", default=[*BENCHMARKS])
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks.jsonl"))
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    machine = Machine(resolve_device(options.device), options.size, options.repeats)
    with atomic(options.out) as temporary, open(temporary, "w") as stream:
        for name in options.only:
            start = time.perf_counter()
            for record in BENCHMARKS[name](machine):
                print(json.dumps(record), file=stream, flush=True)
            print(f"{name}: measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
