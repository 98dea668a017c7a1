"""The record in an artifact of how it was made. Does not import PyTorch."""

import contextlib
import platform
from importlib.metadata import version
from pathlib import Path

COMPUTING_PACKAGES = ("torch", "torchvision", "diffusers", "timm", "numpy")
STAMPED_PACKAGES = (*COMPUTING_PACKAGES, "snakemake")


def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that compute and of Snakemake."""
    return {"python": platform.python_version()} | {p: version(p) for p in STAMPED_PACKAGES}


def stamp(device: str, hardware: str, precision: str, **facts: object) -> dict[str, object]:
    """Return the record of how an artifact was made: versions, device, precision, further facts.

    ``device`` is ``cpu`` or ``cuda``, ``hardware`` describes it in words, and ``precision`` is that
    of the networks. Jobs with a prior add the prior's precision.
    """
    return {
        "versions": versions(),
        "hardware": hardware,
        "device": device,
        "precision": {"networks": precision},
        **facts,
    }


def processor(threads: int, instructions: str = "") -> str:
    """Describe the processor, its vector instructions and the threads in use, in words."""
    return ", ".join(filter(None, (_processor(), instructions, f"{threads} threads")))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()
