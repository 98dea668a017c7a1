"""The device that computes, and its precision."""

from typing import Any, cast

import torch

from lgd_core.base.errors import TransientError
from lgd_core.base.provenance import processor

# The first generation of GPUs with TensorFloat-32.
AMPERE = (8, 0)


def resolve_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda[:n]``; ``auto`` prefers a GPU.

    Raises TransientError if a GPU is asked for by name and there is none.
    """
    if name == "auto":
        name = device_kind(name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TransientError(f"device: found '{name}', but this machine has no usable CUDA device")
    return torch.device(name)


def device_kind(name: str) -> str:
    """Return ``cpu`` or ``cuda``, the type of what resolve_device returns; raises no error."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name).type


def network_precision(kind: str) -> str:
    """Return ``tf32`` if a kind of device multiplies in TensorFloat-32, otherwise ``fp32``."""
    if kind == "cuda" and torch.cuda.get_device_capability() >= AMPERE:
        return "tf32"
    return "fp32"


def computes_in_half(precision: str, kind: str) -> bool:
    """Whether a prior computes in bfloat16 on a kind of device: ``auto`` does so on a GPU."""
    return precision == "bf16" or (precision == "auto" and kind == "cuda")


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device; from the CPU to a GPU without waiting for the GPU's work.

    An ordinary copy waits, since ordinary memory may be changed before the GPU has read it.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def cuda_cards() -> list[str]:
    """Return a name per visible GPU, in torch's order: its UUID, or its index if torch has none.

    CUDA_VISIBLE_DEVICES changes a GPU's index, but not its UUID.
    """
    cuda = cast("Any", torch.cuda)  # the properties of a device have no types
    cards = map(cuda.get_device_properties, range(torch.cuda.device_count()))
    return [str(getattr(card, "uuid", index)) for index, card in enumerate(cards)]


def hardware(device: torch.device) -> str:
    """Describe the hardware in words: the GPU, or else processor, vector instructions and threads.

    On a CPU, the last bits of results depend on the widest vector instructions that PyTorch uses.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())


def describe(device: torch.device) -> dict[str, str]:
    """Return the arguments of provenance.stamp: kind, name and precision of a device."""
    return {
        "device": device.type,
        "hardware": hardware(device),
        "precision": network_precision(device.type),
    }
