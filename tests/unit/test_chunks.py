"""Batches that shrink until they fit."""

import pytest
import torch
from torch import Tensor

from lgd_core.base.errors import UserError
from lgd_core.base.micro_batches import MicroBatches


class Device:
    """A function that doubles numbers and has memory for so many at once."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.sizes: list[int] = []

    def __call__(self, numbers: Tensor, offsets: Tensor) -> Tensor:
        self.sizes.append(len(numbers))
        if len(numbers) > self.memory:
            raise torch.OutOfMemoryError("too much")
        return 2 * numbers + offsets


NUMBERS = torch.arange(10.0)


def test_a_batch_that_fits_is_taken_in_chunks_of_the_largest_size() -> None:
    device = Device(100)
    found = MicroBatches(4).map("work", device, NUMBERS, NUMBERS)
    assert torch.equal(found, 3 * NUMBERS)
    assert device.sizes == [4, 4, 2]


def test_chunks_are_halved_until_they_fit_and_that_is_remembered() -> None:
    device, micro_batches = Device(3), MicroBatches(8)
    assert torch.equal(micro_batches.map("work", device, NUMBERS, NUMBERS), 3 * NUMBERS)
    assert device.sizes == [8, 4, 2, 2, 2, 2, 2]
    assert torch.equal(micro_batches.map("work", device, NUMBERS, NUMBERS), 3 * NUMBERS)
    assert device.sizes[7:] == [2] * 5, "no second try of what did not fit"


def test_each_kind_of_work_has_its_own_size() -> None:
    micro_batches, other = MicroBatches(8), Device(100)
    micro_batches.map("greedy", Device(2), NUMBERS, NUMBERS)
    micro_batches.map("modest", other, NUMBERS, NUMBERS)
    assert other.sizes == [8, 2]


def test_a_single_sample_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(UserError, match="guidance: the GPU's memory is too small for a batch of 1"):
        MicroBatches(8).map("guidance", Device(0), NUMBERS, NUMBERS)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(numbers: Tensor) -> Tensor:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        MicroBatches(8).map("work", broken, NUMBERS)


def test_gradients_pass_through_chunks() -> None:
    numbers = NUMBERS.clone().requires_grad_(True)
    MicroBatches(3).map("work", lambda x: x.square(), numbers).sum().backward()
    assert torch.equal(numbers.grad, 2 * NUMBERS)
