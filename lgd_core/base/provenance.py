"""What an artifact carries as evidence of how it was made."""

import platform
from importlib.metadata import version

import torch

from lgd_core.base.devices import hardware, network_precision

COMPUTING_PACKAGES = ("torch", "torchvision", "diffusers", "timm", "numpy")
STAMPED_PACKAGES = (*COMPUTING_PACKAGES, "snakemake")


def versions() -> dict[str, str]:
    """Return the versions that decide results: Python and the packages that compute."""
    return {"python": platform.python_version()} | {p: version(p) for p in STAMPED_PACKAGES}


def stamp(device: torch.device, **facts: object) -> dict[str, object]:
    """Return what an artifact carries as evidence: versions, device, precision, the facts given.

    ``precision`` is that of networks; jobs with a prior add its own.
    """
    return {
        "versions": versions(),
        "hardware": hardware(device),
        "device": device.type,
        "precision": {"networks": network_precision(device.type)},
        **facts,
    }
