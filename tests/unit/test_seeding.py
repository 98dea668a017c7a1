"""Keyed randomness."""

import torch

from lgd_core.base.seeding import derive_seed, epoch_batch, generator


def test_a_key_s_seed_never_changes() -> None:
    # Origin: first 8 bytes of SHA-256 of "0/1/2/3" and of "hold-out/digits", shifted by one bit.
    assert derive_seed(0, 1, 2, 3) == 1329215510858749501
    assert derive_seed("hold-out", "digits") == 6345610203158959118


def test_different_keys_have_different_seeds() -> None:
    keys = [(a, b, c) for a in range(12) for b in range(12) for c in range(12)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_generators_of_a_key_draw_the_same_and_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (torch.randn(8, generator=generator("a", i)) for i in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_epoch_sees_each_sample_once_in_another_order() -> None:
    epochs = [
        torch.cat([epoch_batch(12, 4, step, "key") for step in range(start, start + 3)])
        for start in (0, 3)
    ]
    assert all(epoch.sort().values.tolist() == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_an_incomplete_batch_is_dropped_and_a_batch_too_large_is_cut() -> None:
    seen = torch.cat([epoch_batch(10, 4, step, "key") for step in (0, 1)])
    assert len(seen.unique()) == 8
    assert epoch_batch(3, 64, 5, "key").sort().values.tolist() == [0, 1, 2]


def test_a_batch_is_a_function_of_step_and_key() -> None:
    assert torch.equal(epoch_batch(20, 4, 7, "key"), epoch_batch(20, 4, 7, "key"))
    assert not torch.equal(epoch_batch(20, 4, 7, "key"), epoch_batch(20, 4, 7, "other"))
