"""Measuring: two ways of doing the same in turn, and what the machine can do at most."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from lgd_core.base.devices import describe
from lgd_core.base.provenance import stamp

Result = TypeVar("Result")
SIZES = ("toy", "small", "full")


@dataclass(frozen=True)
class Machine:
    """Where a benchmark runs, and how often each way is measured."""

    device: torch.device
    size: str
    repeats: int

    def seconds(self, work: Callable[[], Result]) -> tuple[float, Result]:
        """Return the wall time of one call, until the device has finished, and its result."""
        self.wait()
        start = time.perf_counter()
        result = work()
        self.wait()
        return time.perf_counter() - start, result

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def record(self, benchmark: str, **facts: Any) -> dict[str, Any]:
        """Return a record of a benchmark, stamped with versions and hardware."""
        return {"benchmark": benchmark, "size": self.size} | stamp(**describe(self.device), **facts)


@dataclass(frozen=True)
class Comparison(Generic[Result]):
    """The project's way of doing something beside the plain way.

    ``plain`` and ``ours`` do ``plain_units`` and ``units`` of work, such as kept images. ``differ``
    takes what ``checked`` calls of both return, for equal work, and gives the greatest difference,
    which must not exceed ``tolerance``. ``counted`` is a call whose operations are those of
    ``units`` of work; None where they are not counted.
    """

    name: str
    unit: str
    plain: Callable[[], object]
    plain_units: float
    ours: Callable[[], object]
    units: float
    checked: tuple[Callable[[], Result], Callable[[], Result]]
    differ: Callable[[Result, Result], float]
    tolerance: float
    counted: Callable[[], object] | None = None
    goal: float | None = None

    def run(self, machine: Machine, rate: float | None) -> dict[str, Any]:
        """Check that both ways agree, measure them in turn, and return the record.

        ``rate`` are the operations per second that the machine reaches in matrix products. The
        ratio is the median over pairs of calls, one of each way, so that what else the machine does
        slows both. Raises AssertionError where results differ.
        """
        difference = self.differ(*(way() for way in self.checked))
        if not difference <= self.tolerance:
            raise AssertionError(f"{self.name}: results differ by {difference}")
        operations = None if self.counted is None else operations_of(self.counted) / self.units
        pairs = [
            (machine.seconds(self.plain)[0], machine.seconds(self.ours)[0])
            for _ in range(machine.repeats)
        ]
        plain = median(one for one, _ in pairs) / self.plain_units
        ours = median(other for _, other in pairs) / self.units
        scale = self.units / self.plain_units
        ratio = median(one / other * scale for one, other in pairs)
        share = None if operations is None or rate is None else operations / ours / rate
        return machine.record(
            self.name,
            unit=self.unit,
            plain_seconds=plain,
            seconds=ours,
            ratio=ratio,
            goal=self.goal,
            difference=difference,
            operations=operations,
            share_of_limit=share,
            repeats=machine.repeats,
        )


def operations_of(work: Callable[[], object]) -> float:
    """Return the operations of matrix products, convolutions and attention in a call.

    A multiplication and an addition are two; backward passes count.
    """
    counter = FlopCounterMode(display=False)
    # Counts by module are not wanted, and its hooks fail for inputs that need no gradient.
    counter.mod_tracker.__enter__ = counter.mod_tracker.__exit__ = lambda *_: None
    with counter:
        work()
    return float(counter.get_total_flops())


def matrix_rates(machine: Machine) -> dict[str, float]:
    """Return the operations per second in products of two square matrices, by precision.

    Of several products the fastest counts.
    """
    kinds = {"fp32": torch.float32}
    if machine.device.type == "cuda":
        kinds["bf16"] = torch.bfloat16
    side = {"toy": 256, "small": 1024, "full": 8192}[machine.size]
    return {name: _rate(machine, side, kind) for name, kind in kinds.items()}


def _rate(machine: Machine, side: int, kind: torch.dtype) -> float:
    a, b = torch.randn(2, side, side, device=machine.device, dtype=kind)
    return 2 * side**3 / min(machine.seconds(lambda: a @ b)[0] for _ in range(10))


def greatest_difference(ours: Sequence[torch.Tensor], plain: Sequence[torch.Tensor]) -> float:
    """Return the greatest difference of any element of some tensors, relative to their size."""
    pairs = zip(ours, plain, strict=True)
    return max(float((a.cpu() - b.cpu()).abs().max() / b.abs().max().cpu()) for a, b in pairs)
