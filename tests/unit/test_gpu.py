"""What differs on a GPU: precision, memory format, compiled networks, waiting, repeatability."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks import sampling, training
from benchmarks.measuring import Machine, greatest_difference
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample
from lgd_core.networks.classifiers import resized, resized_by_matrices

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")
TOY = Machine(CUDA, "toy", 1)


@pytest.fixture(autouse=True)
def exact() -> None:
    """Multiply in full single precision, as the CPU does, and repeatably."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


def test_a_position_is_the_same_as_on_the_cpu() -> None:
    here = sampling.position(replace(TOY, device=torch.device("cpu")), 64, half=False).ours(2)
    there = sampling.position(TOY, 64, half=False).ours(2)
    assert sampling.differ(there, here) < 1e-2


def test_both_ways_of_sampling_agree() -> None:
    at = sampling.position(TOY, 64, half=False)
    assert sampling.differ(at.ours(2), at.plain(2)) < 1e-2


def test_half_precision_is_close_and_repeatable() -> None:
    exact, half = (sampling.position(TOY, 64, half=half) for half in (False, True))
    latents = exact.ours(2)["latents"], half.ours(2)["latents"], half.ours(2)["latents"]
    assert not torch.equal(latents[0], latents[1]), "bfloat16 has eight bits"
    assert greatest_difference([latents[1]], [latents[0]]) < 0.1
    assert torch.equal(latents[1], latents[2])


def test_networks_are_stored_channels_last() -> None:
    prior = sampling.position(TOY, 64, half=True).prior
    weights = prior.autoencoder.decoder.conv_in.weight
    assert weights.is_contiguous(memory_format=torch.channels_last)


def test_compiled_networks_give_the_same() -> None:
    plain, compiled = (sampling.position(TOY, 64, half=False) for _ in range(2))
    compiled.prior.transformer.compile(dynamic=False)
    compiled.prior.autoencoder.decoder.compile(dynamic=False)
    assert sampling.differ(compiled.ours(2), plain.ours(2)) < 1e-2


def waits(work: Callable[[], object]) -> int:
    """Return how often the CPU waits for the GPU during a call."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)


def test_a_step_waits_at_most_for_the_copy_of_its_noise() -> None:
    at = sampling.position(TOY, 64, half=True)
    labels = torch.tensor([0, 1], device=CUDA)
    guidances = {"still": lambda step: torch.zeros_like(step.noise)}

    def drawn(steps: int) -> Tensor:
        generators = [torch.Generator().manual_seed(label) for label in range(2)]
        asked = Sampling(steps, 1.5, None, (0, steps - 1))
        targets = Conditions(labels, labels, labels)
        return sample(at.prior, targets, generators, asked, guidances, GuidanceTrace())

    drawn(4)
    # At the end the size of guidance is read once per guided step.
    assert waits(lambda: drawn(8)) - waits(lambda: drawn(4)) <= 2 * 4


def test_a_step_of_training_does_not_wait(tmp_path) -> None:
    epoch = training.epoch(TOY, tmp_path)
    longer = replace(epoch, batch=epoch.batch // 2)
    epoch.ours()
    longer.ours()
    assert waits(longer.ours) == waits(epoch.ours), "twice the steps"


def test_training_is_the_same_as_on_the_cpu_and_repeatable(tmp_path) -> None:
    at = replace(training.epoch(TOY, tmp_path), optimiser=training.descent)
    here = replace(
        training.epoch(replace(TOY, device=torch.device("cpu")), tmp_path),
        optimiser=training.descent,
    )
    assert greatest_difference(at.ours(), here.ours()) < 1e-3
    assert torch.equal(at.ours()[0], at.ours()[0])


def test_resizing_is_that_of_the_cpu_and_its_gradient_repeatable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    images = torch.rand(4, 3, 64, 64)
    assert torch.allclose(resized(images.to(CUDA), 48).cpu(), resized(images, 48), atol=1e-5)
    torch.use_deterministic_algorithms(True)
    try:
        x = images.to(CUDA).requires_grad_()
        resized_by_matrices(x, 48).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
