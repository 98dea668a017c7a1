"""Randomness that is keyed, not ordered: who draws first never matters."""

import hashlib

import torch

# What randomness is keyed by, such as (seed, increment, class).
Key = tuple[int | str, ...]


def derive_seed(*key: int | str) -> int:
    """Return the 63-bit seed that belongs to a key such as ``(seed, increment, class, ...)``.

    Different keys give unrelated seeds, so that batch size, shard count and order of work cannot
    change what is drawn for any one of them.
    """
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """Return a CPU generator seeded by its key; CPU, so that every device sees the same noise."""
    return torch.Generator().manual_seed(derive_seed(*key))


def epoch_batch(size: int, batch: int, step: int, *key: int | str) -> torch.Tensor:
    """Return the sample indices of training step ``step``: shuffled epochs, last batch dropped.

    A function of the step alone, so that an interrupted training continues with the very batches
    it would have seen. ``batch`` above ``size`` is taken as ``size``.
    """
    batch = min(batch, size)
    epoch, within = divmod(step, size // batch)
    order = torch.randperm(size, generator=generator(*key, "epoch", epoch))
    return order[within * batch : (within + 1) * batch]
