"""Optimal transport to clusters, and guidance by it; entropy of the reference's prediction."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import generator
from lgd_core.diffusion.guidance import DenoisingStep, entropy, noise_change, rho
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.entropy import EntropyConfig
from lgd_core.distill.guidances.ot import TransportConfig
from lgd_core.distill.spec import IncrementSpec
from lgd_core.distill.transport import TransportGuidance, plan_of, transport_cost

NOWHERE = Checkpoint(None)
CENTRES = torch.randn(3, 5, 4, 8, 8, generator=generator("transport centres"))
SIZES = torch.tensor([[10, 5, 3, 1, 1], [4, 4, 4, 4, 4], [1, 2, 3, 4, 10]])
MASSES = SIZES / SIZES.sum(1, keepdim=True)
MEMORY = torch.randn(3, 4, 4, 8, 8, generator=generator("transport memory"))
LABELS = torch.tensor([2, 0, 1])


def step_at(x_t: Tensor, alpha_bar: float = 0.6) -> DenoisingStep:
    a = torch.tensor(alpha_bar)
    x_t = x_t.detach().requires_grad_(True)
    noise = torch.randn(x_t.shape, generator=generator("transport noise"))
    x0 = (x_t - (1 - a).sqrt() * noise) / a.sqrt()
    beta = torch.tensor(0.1)
    return DenoisingStep(x_t, noise, x0, a, LABELS, beta, beta.sqrt(), torch.zeros(3).long())


def plain_plan(costs: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return Sinkhorn's plan for one image, element by element."""
    plan = np.exp(-costs / 0.1)
    rows, columns = plan.shape
    for _ in range(5):
        for i in range(rows):
            plan[i] *= 1 / rows / plan[i].sum()
        for j in range(columns):
            plan[:, j] *= masses[j] / plan[:, j].sum()
    return plan


def plain_cost(x: Tensor, label: int, memory: Tensor = MEMORY) -> float:
    rows = [row.flatten() / row.norm() for row in (*memory[label], x)]
    centres = [centre.flatten() / centre.norm() for centre in CENTRES[label]]
    costs = np.array([[float((a - k).norm()) for k in centres] for a in rows])
    return float((plain_plan(costs, MASSES[label].numpy()) * costs).sum())


def test_a_plan_is_that_of_plain_loops_and_has_the_masses_of_the_clusters():
    costs = torch.rand(3, 6, 5, generator=generator("transport costs"))
    found = plan_of(costs, MASSES)
    for each, cost, masses in zip(found, costs, MASSES, strict=True):
        expected = plain_plan(cost.numpy().copy(), masses.numpy())
        np.testing.assert_allclose(each, expected, rtol=1e-4)
    torch.testing.assert_close(found.sum(1), MASSES)


def test_the_cost_is_that_of_plain_loops():
    x = torch.randn(3, 4, 8, 8, generator=generator("transport images"))
    found = transport_cost(x, MEMORY[LABELS], CENTRES[LABELS], MASSES[LABELS], False)
    expected = [plain_cost(image, int(label)) for image, label in zip(x, LABELS, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def guidance(**changes) -> TransportGuidance:
    plain = TransportGuidance(MEMORY, torch.arange(3), CENTRES, MASSES, 0.5)
    return dataclasses.replace(plain, **changes)


@pytest.mark.parametrize("norm", ["raw", "relative"])
@pytest.mark.parametrize("unrolled", [False, True])
def test_the_cost_falls_with_the_sign_and_rises_against_it(norm, unrolled):
    """The next latent's mean moves by minus the change, up to a factor."""
    step = step_at(torch.randn(3, 4, 8, 8, generator=generator("transport x")))
    costs = []
    for strength in (-0.2, 0.0, 0.2):
        change = guidance(norm=norm, unrolled=unrolled, strength=strength)(step)
        a = step.alpha_bar
        x0 = (step.x_t - (1 - a).sqrt() * (step.noise + change)) / a.sqrt()
        costs.append(
            transport_cost(x0.detach(), MEMORY[LABELS], CENTRES[LABELS], MASSES[LABELS], unrolled)
        )
    assert (costs[2] < costs[1]).all()
    assert (costs[0] > costs[1]).all()


def test_a_fixed_plan_is_differentiated_by_its_costs_alone():
    """The shift of the mean is - strength x gradient, with the plan as a constant."""
    step = step_at(torch.randn(3, 4, 8, 8, generator=generator("transport x")))
    rows = torch.cat([MEMORY[LABELS].flatten(2), step.x0.flatten(1)[:, None]], 1)
    costs = torch.cdist(F.normalize(rows, dim=2), F.normalize(CENTRES[LABELS].flatten(2), dim=2))
    value = (plan_of(costs.detach(), MASSES[LABELS]) * costs).sum()
    gradient = torch.autograd.grad(value, step.x_t, retain_graph=True)[0]
    torch.testing.assert_close(guidance()(step), noise_change(step, -0.5 * gradient))
    assert not torch.allclose(guidance(unrolled=True)(step), guidance()(step), rtol=1e-3)


def test_one_cluster_is_a_pull_to_the_mean():
    """With a single centre and nothing in memory the gradient is that of the distance to it."""
    step = step_at(torch.randn(3, 4, 8, 8, generator=generator("transport x")))
    one = CENTRES[:, :1]
    found = guidance(centres=one, masses=torch.ones(3, 1), memory=MEMORY[:, :0], norm="relative")(
        step
    )
    units = F.normalize(step.x0.flatten(1), dim=1), F.normalize(one[LABELS].flatten(1), dim=1)
    distance = (units[0] - units[1]).norm(dim=1).sum()
    gradient = torch.autograd.grad(distance, step.x_t, retain_graph=True)[0]
    torch.testing.assert_close(found, 0.5 * rho(step, gradient, "relative") * gradient)


def test_the_order_of_memory_changes_nothing():
    step = step_at(torch.randn(3, 4, 8, 8, generator=generator("transport x")))
    torch.testing.assert_close(guidance(memory=MEMORY.flip(1))(step), guidance()(step))


def test_a_centre_that_memory_covers_attracts_less():
    """Two equal centres; where memory sits on one of them, the new image goes to the other."""
    corners = torch.zeros(1, 2, 1, 1, 2)
    corners[0, 0, 0, 0, 0] = corners[0, 1, 0, 0, 1] = 1
    masses = torch.tensor([[0.5, 0.5]])
    x = torch.full((1, 1, 1, 2), 0.5).requires_grad_(True)
    pulls = []
    for memory in (corners[:, :0], corners[:, :1].repeat(1, 3, 1, 1, 1)):
        cost = transport_cost(x, memory, corners, masses, False).sum()
        (gradient,) = torch.autograd.grad(cost, x)
        pulls.append((-gradient).flatten())
    assert torch.allclose(pulls[0], torch.zeros(2), atol=1e-6), "no preference"
    assert pulls[1][1] > 0 > pulls[1][0], "away from what is covered"


def spec(**guidances) -> IncrementSpec:
    return IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=2,
        candidates=1,
        sampling=Sampling(steps=6, cfg_scale=1.0, cfg_channels=None, window=(1, 4)),
        key=(0, 1),
        first_position=2,
        guidance=guidances,
    )


def test_transport_guides_a_draw_and_needs_no_memory_at_first(fixed_prior: Prior):
    settings = TransportConfig(strength=0.3, norm="relative")
    found = {}
    for name, memory in (("first", None), ("later", MEMORY)):
        artifacts = Artifacts(memory=memory, modes=CENTRES, mode_sizes=SIZES)
        tensors, ratios = draw(fixed_prior, artifacts, spec(ot=settings), NOWHERE)
        assert sorted(ratios["ot"]) == [1, 2, 3, 4]
        found[name] = tensors["latents"]
    plain = draw(fixed_prior, Artifacts(), spec(), NOWHERE)[0]["latents"]
    assert not torch.allclose(found["first"], plain, atol=1e-3)
    assert not torch.allclose(found["first"], found["later"], atol=1e-3)


def test_shards_of_classes_have_their_own_memory(fixed_prior: Prior):
    settings = TransportConfig(strength=0.3, norm="relative")
    whole = draw(
        fixed_prior,
        Artifacts(memory=MEMORY, modes=CENTRES, mode_sizes=SIZES),
        spec(ot=settings),
        NOWHERE,
    )[0]["latents"]
    one = dataclasses.replace(spec(ot=settings), classes=[1])
    artifacts = Artifacts(memory=MEMORY[[1]], modes=CENTRES, mode_sizes=SIZES)
    part = draw(fixed_prior, artifacts, one, NOWHERE)[0]["latents"]
    torch.testing.assert_close(part[0], whole[1], rtol=1e-3, atol=1e-3)


def test_entropy_is_that_of_the_prediction(reference: nn.Module):
    images = torch.rand(4, 3, 16, 16, generator=generator("entropy images"))
    with torch.no_grad():
        found = entropy(reference, images)
        p = reference(images).softmax(1).numpy().astype(np.float64)
    np.testing.assert_allclose(found, -(p * np.log(p)).sum(1), rtol=1e-4)


@pytest.mark.parametrize("norm", ["raw", "rms", "relative"])
def test_guidance_raises_the_entropy(fixed_prior: Prior, reference, preprocess, norm):
    artifacts = Artifacts(reference=reference, preprocess=preprocess)
    strength = {"raw": 20.0, "rms": 20.0, "relative": 0.5}[norm]
    found = []
    for own in ({"entropy": EntropyConfig(strength=strength, norm=norm)}, {}):
        images = draw(fixed_prior, artifacts, spec(**own), NOWHERE)[0]["images"]
        with torch.no_grad():
            seen = preprocess(images.flatten(0, 2).float() / 255)
            found.append(float(entropy(reference, seen).mean()))
    assert found[0] > found[1]
