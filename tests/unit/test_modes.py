"""Modes of planted clusters, and guidance that moves the sampler's mean as MGD3 has it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep, noise_change
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, Sampling, denoising
from lgd_core.distill import modes
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.modes import ModesConfig
from lgd_core.distill.modes import (
    ModeGuidance,
    class_modes,
    cluster_weights,
    encode_images,
    farthest_first,
)
from lgd_core.distill.spec import IncrementSpec

NOWHERE = Checkpoint(None)
LABELS = torch.tensor([2, 0, 1])
TARGETS = Conditions(LABELS, LABELS, torch.tensor([4, 0, 7]))
CENTRES = torch.randn(3, 2, 4, 8, 8, generator=generator("centres"))


@pytest.fixture
def planted() -> tuple[Tensor, Tensor]:
    """Return latents (44, 1, 1, 2) and labels of 2 classes with 3 clusters each, and a shuffle."""
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [4.0, 3.0]])
    sizes = [5, 7, 10]
    noise = 0.01 * torch.randn(44, 2, generator=generator("planted"))
    points = corners.repeat_interleave(torch.tensor(sizes), 0)
    latents = torch.cat([points, 100 - points]) + noise
    order = torch.randperm(44, generator=generator("order"))
    return latents[order].view(44, 1, 1, 2), torch.arange(2).repeat_interleave(22)[order]


def test_planted_clusters_are_found_the_largest_first_then_the_farthest(planted) -> None:
    found = class_modes(*planted, classes=2, clusters=3, key=(0, 1), checkpoint=NOWHERE)
    assert found["centres"].shape == (2, 3, 1, 1, 2)
    # From (4, 3) it is farther to (10, 0), and from both of them then (0, 0) is left.
    expected = torch.tensor([[4.0, 3.0], [10.0, 0.0], [0.0, 0.0]])
    for centres, truth in zip(found["centres"], (expected, 100 - expected), strict=True):
        assert torch.allclose(centres.view(3, 2), truth, atol=0.05)
    assert found["sizes"].tolist() == [[10, 7, 5]] * 2


def test_modes_follow_from_their_key_alone(planted) -> None:
    latents = torch.randn(200, 1, 2, 2, generator=generator("cloud"))
    labels = torch.arange(2).repeat(100)
    first, again, other = (
        class_modes(latents, labels, 2, 8, key, NOWHERE)["centres"]
        for key in ((0, 1), (0, 1), (0, 2))
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_more_clusters_than_images_is_one_line(planted) -> None:
    with pytest.raises(UserError, match=r"modes.clusters: found 23, expected at most 22.* class 0"):
        class_modes(*planted, classes=2, clusters=23, key=(0, 0), checkpoint=NOWHERE)


def test_an_image_weighs_as_much_as_the_cluster_it_goes_to() -> None:
    """Image j goes to cluster j modulo 3; of each class and increment the mean is 1."""
    sizes = torch.tensor([[6, 3, 1], [2, 2, 2]])
    found = cluster_weights(sizes, first=4, positions=4)
    plain = torch.tensor([[3.0, 1.0, 6.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
    torch.testing.assert_close(found, plain / plain.mean(1, keepdim=True))
    assert found.mean(1).tolist() == pytest.approx([1, 1])


def test_farthest_first_is_greedy_and_takes_every_point_once() -> None:
    points = torch.randn(12, 3, generator=generator("points"))
    order = [4]
    while len(order) < 12:
        rest = [i for i in range(12) if i not in order]
        order.append(max(rest, key=lambda i: min((points[i] - points[j]).norm() for j in order)))
    assert farthest_first(points, 4).tolist() == order
    assert sorted(farthest_first(torch.zeros(5, 3), 2).tolist()) == [0, 1, 2, 3, 4]


def test_an_interrupted_encoding_ends_as_an_undisturbed_one(
    fixed_prior: Prior, tmp_path: Path, interrupt_after: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "BLOCK", 4)
    images = torch.randint(
        0, 256, (10, 3, 16, 16), dtype=torch.uint8, generator=generator("images")
    )
    expected = fixed_prior.encode(images)
    interrupt_after(2)
    path = tmp_path / "latents.npy"
    with pytest.raises(KeyboardInterrupt):
        encode_images(fixed_prior, images, path, Checkpoint(tmp_path, 0))
    seen: list[int] = []
    monkeypatch.setattr(
        Prior, "encode", lambda self, part: seen.append(len(part)) or expected[-len(part) :]
    )
    encode_images(fixed_prior, images, path, Checkpoint(tmp_path, 0))
    found = torch.from_numpy(np.load(path))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert seen == [2], "only what was not yet encoded"


def a_step(prior: Prior, index: int) -> tuple[object, Tensor, Tensor, DenoisingStep]:
    """Return a scheduler, its timestep, the transformer's output there and the denoising step."""
    scheduler = prior.scheduler(10)
    t = scheduler.timesteps[9 - index]
    channels = 8 if prior.learned_sigma else 4
    x, noise = torch.randn(2, 3, channels, 8, 8, generator=generator("step")).tanh()
    x = x[:, :4]
    return scheduler, t, noise, denoising(scheduler, t, x, noise, TARGETS)


def move(
    scheduler: object, t: Tensor, output: Tensor, step: DenoisingStep, change: Tensor
) -> Tensor:
    """Return how far a change of the noise moves the scheduler's next latent."""
    changed = torch.cat([output[:, :4] + change, output[:, 4:]], 1)
    plain, moved = (
        scheduler.step(values, t, step.x_t, generator=generator("draw")).prev_sample
        for values in (output, changed)
    )
    return moved - plain


@pytest.mark.parametrize("index", [9, 5, 1, 0])
def test_the_change_of_noise_moves_the_mean_of_the_scheduler_s_step_by_the_shift(
    prior: Prior, index: int
) -> None:
    scheduler, t, output, step = a_step(prior, index)
    shift = torch.randn(step.x_t.shape, generator=generator("shift"))
    found = move(scheduler, t, output, step, noise_change(step, shift))
    torch.testing.assert_close(found, shift, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("index", [9, 5, 1])
def test_guidance_adds_strength_times_sigma_times_the_way_to_the_own_centre(
    prior: Prior, index: int
) -> None:
    scheduler, t, output, step = a_step(prior, index)
    found = move(scheduler, t, output, step, ModeGuidance(CENTRES, 0.1)(step))
    # What two draws of the scheduler differ by is sigma times the difference of their noises.
    noises = [torch.randn(step.x_t.shape, generator=generator("draw", i)) for i in range(2)]
    steps = [
        scheduler.step(output, t, step.x_t, generator=generator("draw", i)).prev_sample
        for i in range(2)
    ]
    sigma = (steps[0] - steps[1]) / (noises[0] - noises[1])
    centres = torch.stack([CENTRES[2, 0], CENTRES[0, 0], CENTRES[1, 1]])
    x0 = scheduler.step(output, t, step.x_t, generator=generator("draw")).pred_original_sample
    torch.testing.assert_close(found, 0.1 * sigma * (centres - x0), rtol=1e-2, atol=2e-3)


def spec(**changes: object) -> IncrementSpec:
    plain = IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=2,
        candidates=1,
        sampling=Sampling(steps=6, cfg_scale=1.0, cfg_channels=None, window=(2, 5)),
        key=(0, 0),
        classes_per_batch=None,
        guidance={"modes": ModesConfig(strength=0.5)},
    )
    return dataclasses.replace(plain, **changes)


def test_samples_end_nearer_to_their_centres_the_stronger_the_guidance(fixed_prior: Prior) -> None:
    def distances(strength: float) -> Tensor:
        drawn = draw(
            fixed_prior,
            Artifacts(modes=10 * CENTRES),
            spec(guidance={"modes": ModesConfig(strength=strength)}),
            NOWHERE,
        )[0]["latents"][:, :, 0]
        return (drawn - 10 * CENTRES).flatten(2).norm(dim=2)

    none, some, more = (distances(strength) for strength in (0.0, 0.01, 0.03))
    assert (some < none).all()
    assert (more < some).all()


def test_positions_count_over_all_increments(
    fixed_prior: Prior, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    guide = ModeGuidance.__call__

    def spy(self: ModeGuidance, step: DenoisingStep) -> Tensor:
        seen.append((step.labels, step.positions))
        return guide(self, step)

    monkeypatch.setattr(ModeGuidance, "__call__", spy)
    draw(fixed_prior, Artifacts(modes=CENTRES), spec(key=(0, 3), first_position=6), NOWHERE)
    labels, positions = seen[0]
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert positions.tolist() == [6, 7, 6, 7, 6, 7]


def test_any_batch_and_any_shard_pull_to_the_same_centres(
    batched: Callable, fixed_prior: Prior
) -> None:
    artifacts = Artifacts(modes=CENTRES)
    expected = draw(fixed_prior, artifacts, spec(classes_per_batch=1), NOWHERE)[0]["latents"]
    found = draw(batched(fixed_prior, 4), artifacts, spec(), NOWHERE)[0]["latents"]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    part = draw(fixed_prior, artifacts, spec(classes=[2], classes_per_batch=1), NOWHERE)[0]
    assert torch.equal(part["latents"], expected[[2]])
