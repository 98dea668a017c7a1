"""What an artifact carries as evidence of how it was made; free of PyTorch."""

import contextlib
import platform
from importlib.metadata import version
from pathlib import Path

COMPUTING_PACKAGES = ("torch", "torchvision", "diffusers", "timm", "numpy")
STAMPED_PACKAGES = (*COMPUTING_PACKAGES, "snakemake")


def versions() -> dict[str, str]:
    """Return the versions that decide results: Python and the packages that compute."""
    return {"python": platform.python_version()} | {p: version(p) for p in STAMPED_PACKAGES}


def stamp(device: str, hardware: str, precision: str, **facts: object) -> dict[str, object]:
    """Return what an artifact carries as evidence: versions, device, precision, the facts given.

    ``device`` is ``cpu`` or ``cuda``, ``hardware`` says which in words, ``precision`` is that of
    networks; jobs with a prior add its own.
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
