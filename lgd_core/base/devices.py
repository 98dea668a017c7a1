"""Where tensors live, and in which precision they are computed there."""

from typing import Any, cast

import torch

from lgd_core.base.errors import UserError
from lgd_core.base.provenance import processor

# The first generation of GPUs with TensorFloat-32.
AMPERE = (8, 0)


def resolve_device(name: str) -> torch.device:
    """Return the device called ``auto``, ``cpu`` or ``cuda[:n]``; ``auto`` prefers a GPU.

    Raises UserError if a GPU is asked for by name and there is none.
    """
    if name == "auto":
        name = device_kind(name)
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: found '{name}', but this machine has no usable CUDA device")
    return torch.device(name)


def device_kind(name: str) -> str:
    """Return ``cpu`` or ``cuda``, the type of what resolve_device returns; never an error."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name).type


def network_precision(kind: str) -> str:
    """Return ``tf32`` where a kind of device multiplies in TensorFloat-32, otherwise ``fp32``."""
    if kind == "cuda" and torch.cuda.get_device_capability() >= AMPERE:
        return "tf32"
    return "fp32"


def computes_in_half(precision: str, kind: str) -> bool:
    """Whether a prior computes in bfloat16 on a kind of device: ``auto`` does so on a GPU."""
    return precision == "bf16" or (precision == "auto" and kind == "cuda")


def cuda_cards() -> list[str]:
    """Return a name per visible GPU, in torch's order: its UUID, which no visibility setting moves.

    Where torch knows no UUIDs, the index.
    """
    cuda = cast("Any", torch.cuda)  # whose properties of a device have no types
    cards = map(cuda.get_device_properties, range(torch.cuda.device_count()))
    return [str(getattr(card, "uuid", index)) for index, card in enumerate(cards)]


def hardware(device: torch.device) -> str:
    """Describe the hardware in words: the accelerator, or processor, instructions and threads.

    The widest vector instructions that PyTorch uses decide the last bits of results on a CPU.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())


def describe(device: torch.device) -> dict[str, str]:
    """Return what provenance.stamp says of a device: its kind, name and precision of networks."""
    return {
        "device": device.type,
        "hardware": hardware(device),
        "precision": network_precision(device.type),
    }
