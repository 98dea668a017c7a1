"""Growth of drawing an increment with classes, images per class, candidates and shards."""

import multiprocessing
import resource
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from benchmarks.measuring import Machine
from benchmarks.networks import SCALES, prior_of, scorer_of
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.divisions import class_runs
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.drawing import draw
from lgd_core.distill.spec import IncrementSpec


@dataclass(frozen=True)
class Increment:
    """What grows: classes, images per class, candidates for each, shards of the classes."""

    classes: int
    images: int
    candidates: int = 2
    shards: int = 1


BASES = {"toy": Increment(2, 1), "small": Increment(8, 8), "full": Increment(8, 1)}
FACTORS = {"toy": (1, 2), "small": (1, 2, 4, 8), "full": (1, 2)}


def measured(machine: Machine) -> list[dict[str, Any]]:
    """Return a record of each increment: one of the four numbers is so many times the base's.

    Each is drawn once, in a process of its own, so that its peak memory is its own.
    """
    base = BASES[machine.size]
    grown = [
        (field.name, replace(base, **{field.name: factor * getattr(base, field.name)}))
        for field in fields(Increment)
        for factor in FACTORS[machine.size]
    ]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    increments = list(dict.fromkeys(each for _, each in grown))
    calls = [(each, str(machine.device), torch.get_num_threads()) for each in increments]
    with context.Pool(1, maxtasksperchild=1) as pool:
        found = dict(zip(increments, pool.starmap(draw_shard, calls, chunksize=1), strict=True))
        pool.close()
        pool.join()
    return [
        machine.record(
            "growth", grown=name, **asdict(each), seconds=found[each][0], memory_mb=found[each][1]
        )
        for name, each in grown
    ]


def draw_shard(increment: Increment, device: str, threads: int) -> tuple[float, float]:
    """Draw the largest shard of an increment; return seconds and the growth of peak memory in MB.

    Networks are the smallest on a CPU, and of full size on a GPU.
    """
    torch.set_num_threads(threads)
    place = torch.device(device)
    size = "full" if place.type == "cuda" else "toy"
    scale = replace(SCALES[size], classes=increment.classes)
    prior = prior_of(size, place, max_batch=64, half=place.type == "cuda")
    spec = IncrementSpec(
        classes=class_runs(increment.classes, increment.shards)[0],
        prior_labels=[label % prior.classes for label in range(increment.classes)],
        positions=increment.images,
        candidates=increment.candidates,
        sampling=Sampling(scale.steps, scale.cfg_scale, None, scale.window),
        key=(0, 1),
        classes_per_batch=None,
        guidance={"learnability": LearnabilityConfig(strength=scale.strengths[0])},
    )
    artifacts = Artifacts(scorer_of(scale, place))
    before = peak_memory(place)
    draw(prior, artifacts, replace(spec, positions=1), Checkpoint(None))
    start = time.perf_counter()
    draw(prior, artifacts, spec, Checkpoint(None))
    return time.perf_counter() - start, peak_memory(place) - before


def peak_memory(device: torch.device) -> float:
    """Return the greatest memory that this process has used, in MB: the device's, or its own."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
