"""Random numbers by key: the order of the draws does not matter."""

import hashlib

import torch

# The key of a draw, such as (seed, increment, class).
Key = tuple[int | str, ...]


def derive_seed(*key: int | str) -> int:
    """Return the 63-bit seed that belongs to a key such as ``(seed, increment, class, ...)``.

    Different keys give unrelated seeds, so batch size, number of shards and order of work do not
    change what is drawn for a key.
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """Return a generator seeded by its key, on the CPU: the noise is the same for every device."""
    return torch.Generator().manual_seed(derive_seed(*key))


def epoch_batch(size: int, batch: int, step: int, *key: int | str) -> torch.Tensor:
    """Return the sample indices of training step ``step``: shuffled epochs, last batch dropped.

    They depend on the step alone, so a resumed training sees the same batches as an uninterrupted
    one. A ``batch`` above ``size`` is taken as ``size``.
    """
    batch = min(batch, size)
    epoch, within = divmod(step, size // batch)
    order = torch.randperm(size, generator=generator(*key, "epoch", epoch))
    return order[within * batch : (within + 1) * batch]
