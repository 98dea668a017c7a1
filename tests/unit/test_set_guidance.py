"""Guidance of a class's images as a set (CGS), and tuning to sparse latents."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lgd_core.analysis.traces import trace_guidance
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep, noise_change, rho
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.cgs import SetConfig
from lgd_core.distill.set_guidance import SetGuidance, crowding
from lgd_core.distill.spec import IncrementSpec, batches, rounds

NOWHERE = Checkpoint(None)
# Three classes of two positions and two candidates, in the order of a batch.
LABELS = torch.tensor([2, 0, 1]).repeat_interleave(4)
CENTRES = torch.randn(3, 5, 4, 8, 8, generator=generator("set centres"))
SIZES = torch.tensor([[10, 5, 3, 1, 1], [4, 4, 4, 4, 4], [1, 2, 3, 4, 10]])
MEANS = (CENTRES * (SIZES / SIZES.sum(1, keepdim=True))[..., None, None, None]).sum(1)
MEMORY = torch.randn(3, 4, 4, 8, 8, generator=generator("set memory"))
X = torch.randn(12, 4, 8, 8, generator=generator("set x"))
RIDGE = 0.01


def step_at(x_t: Tensor, alpha_bar: float = 0.6) -> DenoisingStep:
    a = torch.tensor(alpha_bar)
    x_t = x_t.detach().requires_grad_(True)
    noise = torch.randn(x_t.shape, generator=generator("set noise"))
    x0 = (x_t - (1 - a).sqrt() * noise) / a.sqrt()
    beta = torch.tensor(0.1)
    return DenoisingStep(x_t, noise, x0, a, LABELS, beta, beta.sqrt(), torch.zeros(12).long())


def guidance(**changes) -> SetGuidance:
    plain = SetGuidance(MEMORY, torch.arange(3), MEANS, 2, 0.5, "raw", 0.0, RIDGE)
    return dataclasses.replace(plain, **changes)


def rows_of(label: int, candidate: int) -> list[int]:
    return [row for row in range(12) if LABELS[row] == label and row % 2 == candidate]


def plain_crowding(latents: np.ndarray, memory: np.ndarray) -> float:
    rows = [row.ravel() / np.linalg.norm(row) for row in (*memory, *latents)]
    kernel = np.array([[a @ b for b in rows] for a in rows])
    return -np.log(np.linalg.det(kernel + RIDGE * np.eye(len(rows))))


def test_crowding_is_that_of_plain_loops():
    sets = X.double().unflatten(0, (3, 4))
    found = crowding(sets, MEMORY.double(), RIDGE)
    expected = [
        plain_crowding(a.numpy(), m.double().numpy()) for a, m in zip(sets, MEMORY, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_gradient_is_the_published_one():
    """-2 (K + eI)^-1 V on unit rows, with what is along the row taken away, over its length."""
    latents = X[:4].double()
    guided = guidance()
    found = guided._apart(latents[None], MEMORY[:1, :0].double())[0].flatten(1)
    rows = latents.flatten(1)
    lengths = rows.norm(dim=1, keepdim=True)
    units = rows / lengths
    inverse = torch.linalg.inv(units @ units.T + RIDGE * torch.eye(4))
    raw = -2 * inverse @ units
    expected = (raw - (raw * units).sum(1, keepdim=True) * units) / lengths
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("norm", ["raw", "relative"])
def test_sets_spread_with_the_sign_and_crowd_against_it(norm):
    step = step_at(X)
    found = {}
    for strength in (-0.05, 0.0, 0.05):
        change = guidance(strength=strength, norm=norm)(step)
        a = step.alpha_bar
        x0 = ((step.x_t - (1 - a).sqrt() * (step.noise + change)) / a.sqrt()).detach()
        found[strength] = [
            float(crowding(x0[rows_of(label, j)][None], MEMORY[[label]], RIDGE))
            for label in range(3)
            for j in range(2)
        ]
    assert all(np.array(found[0.05]) < found[0.0])
    assert all(np.array(found[-0.05]) > found[0.0])


def test_a_set_has_the_images_of_one_class_with_one_candidate_s_index():
    step = step_at(X)
    whole = guidance(norm="relative", pull=0.1)(step)
    rows = rows_of(0, 1)
    alone = dataclasses.replace(
        step, x_t=step.x_t[rows], noise=step.noise[rows], x0=step.x0[rows], labels=LABELS[rows]
    )
    found = guidance(norm="relative", pull=0.1, candidates=1)(alone)
    torch.testing.assert_close(found, whole[rows])
    moved = step_at(X.index_fill(0, torch.tensor(rows_of(0, 0)), 1.5))
    torch.testing.assert_close(guidance(pull=0.1)(moved)[rows], guidance(pull=0.1)(step)[rows])


def test_raw_moves_the_next_latent_by_strength_times_gradient():
    step = step_at(X)
    rows = rows_of(1, 0)
    latents = step.x0[rows].detach().requires_grad_(True)
    value = crowding(latents[None], MEMORY[[1]], RIDGE).sum()
    (gradient,) = torch.autograd.grad(value, latents)
    own = dataclasses.replace(step, noise=step.noise[rows])
    torch.testing.assert_close(guidance()(step)[rows], noise_change(step, -0.5 * gradient))
    expected = 0.5 * rho(own, gradient, "relative") * gradient
    torch.testing.assert_close(guidance(norm="relative")(step)[rows], expected)


def test_the_mean_of_a_set_goes_its_share_of_the_way():
    """The mean of the next latent changes as much as noise_change says for the shift."""
    step = step_at(X)
    change = guidance(strength=0.0, pull=0.25)(step)
    for label in range(3):
        rows = rows_of(label, 0)
        off = step.x_t[rows].detach().mean(0) - step.alpha_bar.sqrt() * MEANS[label]
        for row in rows:
            torch.testing.assert_close(change[row], noise_change(step, -0.25 * off))


def test_pull_is_the_authors_strength_times_2_over_n():
    """Their shift is -strength times the gradient of |mean z - sqrt(alpha_bar) mu|^2."""
    step, rows = step_at(X), rows_of(1, 1)
    latents = step.x_t[rows].detach().requires_grad_(True)
    cost = (latents.mean(0) - step.alpha_bar.sqrt() * MEANS[1]).square().sum()
    (gradient,) = torch.autograd.grad(cost, latents)
    authors = 0.3
    found = guidance(strength=0.0, pull=authors * 2 / len(rows))(step)[rows]
    torch.testing.assert_close(found, noise_change(step, -authors * gradient))


def spec(**changes) -> IncrementSpec:
    settings = SetConfig(strength=0.05, norm="relative", pull=0.1)
    plain = IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=4,
        candidates=2,
        sampling=Sampling(steps=6, cfg_scale=1.0, cfg_channels=None, window=(1, 4)),
        key=(0, 1),
        first_position=4,
        guidance={"cgs": settings},
    )
    return dataclasses.replace(plain, **changes)


GIVEN = Artifacts(memory=MEMORY, modes=CENTRES, mode_sizes=SIZES)


@pytest.mark.parametrize("largest", [3, 8, 17, 1000])
def test_a_class_is_never_divided(largest):
    (positions,) = rounds(spec(), largest)
    assert positions == range(4)
    for keys in batches(spec(), positions, largest):
        labels = [key[0] for key in keys]
        assert all(labels.count(label) == 8 for label in set(labels))
        assert keys == sorted(keys)
        assert len(keys) <= max(largest, 8)


def test_results_do_not_hang_on_the_batch_or_the_shards(fixed_prior: Prior, batched):
    whole = draw(fixed_prior, GIVEN, spec(), NOWHERE)[0]["latents"]
    for labels in ([0, 1], [2]):
        part = dataclasses.replace(GIVEN, memory=MEMORY[labels])
        found = draw(batched(fixed_prior, 5), part, spec(classes=labels), NOWHERE)[0]["latents"]
        torch.testing.assert_close(found, whole[labels], rtol=1e-3, atol=1e-4)
    plain = draw(fixed_prior, Artifacts(), spec(guidance={}), NOWHERE)[0]["latents"]
    assert not torch.isclose(plain, whole, atol=1e-3).flatten(3).all(-1).any()


def test_one_image_of_a_class_depends_on_the_others(fixed_prior: Prior):
    whole = draw(fixed_prior, GIVEN, spec(), NOWHERE)[0]["latents"]
    fewer = draw(fixed_prior, GIVEN, spec(positions=3), NOWHERE)[0]["latents"]
    assert not torch.isclose(fewer, whole[:, :3], atol=1e-3).flatten(3).all(-1).any()


def test_killed_between_classes_it_ends_as_an_undisturbed_one(
    fixed_prior: Prior, batched, tmp_path: Path, interrupt_after
):
    small = batched(fixed_prior, 8)
    expected = draw(small, GIVEN, spec(), NOWHERE)
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        draw(small, GIVEN, spec(), Checkpoint(tmp_path, 0))
    found = draw(small, GIVEN, spec(), Checkpoint(tmp_path, 0))
    assert found[1] == expected[1]
    assert torch.equal(found[0]["latents"], expected[0]["latents"])


def test_a_trace_redraws_the_positions_as_they_were(fixed_prior: Prior, scorer: Scorer):
    given = dataclasses.replace(GIVEN, scorer=scorer)
    found = trace_guidance(fixed_prior, given, spec(candidates=1), 2, NOWHERE)
    assert found["guided.score"].shape == (6, 3 * 2)
    whole = trace_guidance(fixed_prior, given, spec(candidates=1), 4, NOWHERE)
    first = whole["guided.score"].unflatten(1, (3, 4))[:, :, :2].flatten(1)
    torch.testing.assert_close(found["guided.score"], first)
    candidates = draw(fixed_prior, given, spec(candidates=1), NOWHERE)[0]
    torch.testing.assert_close(
        whole["guided.score"][-1].unflatten(0, (3, 4)),
        candidates["scores"][:, :, 0],
        rtol=0.1,
        atol=0.05,
    )
