"""The minimax criteria against loops over images, and tuning of a prior by them."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import changed
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.config.models.method import FinetuneConfig
from lgd_core.diffusion.finetuning import (
    PhaseClasses,
    denoising_loss,
    noisy_latents,
    trained_parameters,
    tune_prior,
    variance_loss,
)
from lgd_core.diffusion.minimax import Memory, minimax_loss, repetition, representativeness
from lgd_core.diffusion.priors import Prior, load_prior
from lgd_core.networks.training import Images

CPU = torch.device("cpu")
NOWHERE = Checkpoint(None)
ALPHAS = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0)
RECIPE = FinetuneConfig(
    seed=0,
    steps=6,
    batch=8,
    lr=1e-3,
    weight_decay=0.0,
    memory=4,
    representativeness=0.002,
    diversity=0.008,
    ema_decay=0.9,
    label_dropout=0.1,
    classes_per_phase=None,
    trained=["*.bias", "*norm?.weight", "*class_embedder*"],
)
WHOLE = PhaseClasses(0, [0, 1, 2], [2, 0, 1])


def cosine(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.flatten(), y.flatten()
    return x.dot(y) / (x.norm() * y.norm())


class PlainMemory:
    """What Memory is to be, as lists."""

    def __init__(self, classes: int, size: int) -> None:
        self.size, self.lists = size, [[] for _ in range(classes)]

    def add(self, latents: Tensor, labels: Tensor) -> None:
        for latent, label in zip(latents, labels.tolist(), strict=True):
            self.lists[label] = [*self.lists[label], latent.detach()][-self.size :]


def plain_loss(
    latents: Tensor,
    labels: Tensor,
    real: PlainMemory,
    drawn: PlainMemory,
    recipe: FinetuneConfig,
) -> Tensor:
    """Return the criteria as published: one class after another."""
    classes, total = sorted(set(labels.tolist())), torch.zeros(())
    for label in classes:
        own = latents[labels == label]
        if not drawn.lists[label]:
            continue
        near = min(cosine(x, m) for x in own for m in real.lists[label])
        same = max(cosine(x, m) for x in own for m in drawn.lists[label])
        total = total + recipe.representativeness * (1 - near) + recipe.diversity * same
    return total / len(classes)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_criteria_and_their_gradients_are_those_of_plain_loops(size: int) -> None:
    rng = generator("criteria")
    memories = [Memory(4, size, 12) for _ in range(2)]
    plain = [PlainMemory(4, size) for _ in range(2)]
    weights = changed(RECIPE, representativeness=0.3, diversity=0.7)
    for step in range(6):
        labels = torch.randint(0, 3 + (step > 2), (8,), generator=rng)
        latents = torch.randn(8, 3, 2, 2, generator=rng, requires_grad=True)
        found = minimax_loss(latents, labels, *memories, weights)
        expected = plain_loss(latents, labels, *plain, weights)
        torch.testing.assert_close(found, expected)
        if step:
            gradients = [torch.autograd.grad(loss, latents)[0] for loss in (found, expected)]
            torch.testing.assert_close(*gradients)
        for memory, other in zip(memories, plain, strict=True):
            batch = torch.randn(8, 3, 2, 2, generator=rng)
            memory.add(batch, labels)
            other.add(batch, labels)


def test_each_criterion_is_the_one_it_is_called() -> None:
    memory = Memory(2, 5, 2)
    memory.add(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
    latents, labels = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1])
    assert representativeness(latents, labels, memory).tolist() == [1.0, 0.0]
    assert repetition(latents, labels, memory).tolist() == [1.0, 0.0]


def test_a_memory_starts_empty_and_its_state_can_be_restored() -> None:
    memory = Memory(3, 2, 4)
    latents, labels = torch.randn(5, 4, generator=generator("state")), torch.tensor([0, 1, 0, 0, 2])
    assert minimax_loss(latents, labels, memory, memory, RECIPE) == 0
    memory.add(latents, labels)
    again = Memory(3, 2, 4)
    again.load_state_dict(memory.state_dict())
    assert torch.equal(repetition(latents, labels, again), repetition(latents, labels, memory))


def test_variance_loss_is_the_divergence_of_the_two_normal_distributions(double: None) -> None:
    alphas = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0)
    rng = generator("variance")
    x0, predicted, x_t, share = torch.randn(4, 3, 2, 4, 4, generator=rng).tanh()
    t = torch.tensor([1, 400, 999])
    found = variance_loss(share, x0 - predicted, t, alphas)
    for i, step in enumerate(t.tolist()):
        a, before = alphas[step], alphas[step - 1]
        beta = 1 - a / before
        smallest = beta * (1 - before) / (1 - a)

        def mean(clean: Tensor, i=i, a=a, before=before, beta=beta) -> Tensor:
            noisy = (1 - beta).sqrt() * (1 - before) * x_t[i]
            return (before.sqrt() * beta * clean + noisy) / (1 - a)

        v = (share[i] + 1) / 2
        variance = (v * beta.log() + (1 - v) * smallest.log()).exp()
        true = Normal(mean(x0[i]), smallest.sqrt())
        divergence = kl_divergence(true, Normal(mean(predicted[i]), variance.sqrt()))
        assert found[i].item() == pytest.approx(divergence.mean().item() / math.log(2), rel=1e-6)


def test_the_first_step_has_no_variance_loss() -> None:
    share = torch.full((2, 1, 2, 2), -1.0)
    found = variance_loss(share, torch.ones(2, 1, 2, 2), torch.tensor([0, 1]), ALPHAS)
    assert found[0] == 0
    assert found[1] > 0


def test_the_mean_does_not_learn_from_the_variance(learned_prior: Prior) -> None:
    """The bound's gradient reaches the variance's channels; the noise's have their own loss."""
    output = torch.randn(4, 8, 8, 8, generator=generator("output")).tanh().requires_grad_(True)
    prior = dataclasses.replace(learned_prior)
    object.__setattr__(prior, "predict", lambda *_: output)
    x0 = torch.randn(4, 4, 8, 8, generator=generator("x0"))
    rng = generator("noise")
    _, loss = denoising_loss(prior, x0, torch.zeros(4, dtype=torch.long), ALPHAS, rng)
    gradient = torch.autograd.grad(loss, output)[0]
    noise = torch.randn(x0.shape, generator=generator("noise"))
    expected = 2 * (output[:, :4] - noise) / x0.numel()
    torch.testing.assert_close(gradient[:, :4], expected)
    assert (gradient[:, 4:] != 0).any()


@pytest.fixture(params=["fixed", "learned"])
def tuning(request: pytest.FixtureRequest, bright: Images) -> Callable:
    """Return tuning of a fresh copy of either prior, by a place to resume and changed keys.

    ``phase`` has its classes, by default all.
    """
    folder = request.getfixturevalue(f"{request.param}_folder")

    def tune(
        checkpoint: Checkpoint = NOWHERE, phase: PhaseClasses = WHOLE, **changes: object
    ) -> tuple[Prior, dict]:
        prior = load_prior(str(folder), CPU)
        parts = (bright.images, bright.labels, phase, 0.5, changed(RECIPE, **changes))
        return prior, tune_prior(prior, *parts, checkpoint)

    return tune


def state(prior: Prior) -> dict[str, Tensor]:
    return prior.transformer.state_dict()


def test_only_what_the_patterns_name_moves(tuning: Callable) -> None:
    prior, result = tuning()
    untouched, _ = tuning(steps=1, lr=1e-12)
    chosen = [name for name in state(prior) if name.endswith(".bias") or "class_embedder" in name]
    moved = {
        n for n, tensor in state(prior).items() if not torch.equal(tensor, state(untouched)[n])
    }
    assert moved == set(chosen)
    assert result["parameters"] == sum(state(prior)[name].numel() for name in chosen)
    assert not any(parameter.requires_grad for parameter in prior.transformer.parameters())


def test_what_stays_is_the_average_of_the_path(tuning: Callable) -> None:
    """The average starts from the prior's own weights and takes a tenth of every later one."""
    name = "proj_out_2.bias"
    start = state(tuning(steps=1, ema_decay=1 - 1e-12)[0])[name]
    path = [state(tuning(steps=n, ema_decay=0.0)[0])[name] for n in (1, 2, 3)]
    expected = start
    for at in path:
        expected = 0.9 * expected + 0.1 * at
    torch.testing.assert_close(state(tuning(steps=3)[0])[name], expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(expected, path[-1], atol=1e-4)


@pytest.mark.parametrize("saves", [1, 4])
def test_an_interrupted_tuning_ends_as_an_undisturbed_one(
    tuning: Callable, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    undisturbed, result = tuning()
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        tuning(Checkpoint(tmp_path, 0))
    resumed, found = tuning(Checkpoint(tmp_path, 0))
    assert found == result
    assert all(torch.equal(t, state(undisturbed)[name]) for name, t in state(resumed).items())


def test_the_loss_falls(tuning: Callable, bright: Images) -> None:
    def loss(prior: Prior) -> float:
        rng = generator("judged")
        with torch.no_grad():
            x0 = noisy_latents(prior, bright.images, 0.0, rng)
            return denoising_loss(prior, x0, bright.labels, ALPHAS, rng)[1].item()

    before, after = (loss(tuning(steps=steps, lr=1e-2)[0]) for steps in (1, 40))
    assert after < 0.98 * before


@pytest.mark.parametrize("criterion", ["representativeness", "diversity"])
def test_every_criterion_counts(tuning: Callable, criterion: str) -> None:
    off = {"representativeness": 0.0, "diversity": 0.0, "steps": 3}
    plain, single = (tuning(**(off | {criterion: weight}))[1]["loss"] for weight in (0.0, 1.0))
    assert abs(single - plain) > 1e-4


def test_labels_are_those_of_the_prior_or_the_null_class(
    tuning: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    predict = Prior.predict

    def spy(self: Prior, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return predict(self, x_t, t, labels)

    monkeypatch.setattr(Prior, "predict", spy)
    tuning(steps=3, batch=24, label_dropout=0.0)
    assert torch.cat(seen).bincount().tolist() == [24, 24, 24]
    seen.clear()
    tuning(steps=3, label_dropout=1.0)
    assert torch.cat(seen).unique().tolist() == [3]


def test_latents_are_drawn_from_the_posterior_of_the_image_or_its_mirror(
    fixed_prior: Prior, bright: Images
) -> None:
    images = bright.images[:4]
    autoencoder = fixed_prior.autoencoder
    noise = generator("latents")
    torch.rand(4, generator=noise)
    with torch.no_grad():
        posterior = autoencoder.encode(images.flip(3).float() / 127.5 - 1).latent_dist
    drawn = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=noise)
    found = noisy_latents(fixed_prior, images, 1.0, generator("latents"))
    torch.testing.assert_close(found, 0.5 * drawn, rtol=1e-4, atol=1e-5)


def test_patterns_that_name_nothing_are_one_line(fixed_folder: Path) -> None:
    prior = load_prior(str(fixed_folder), CPU)
    with pytest.raises(UserError, match=r"finetune.trained: found \*gamma\*, .* 'pos_embed"):
        trained_parameters(prior.transformer, ["*gamma*"])


def test_affine_norms_are_trained_and_modulation_weights_are_not() -> None:
    block = nn.ModuleDict({"norm1": nn.ModuleDict({"linear": nn.Linear(2, 2)})})
    block["norm3"] = nn.LayerNorm(2)
    chosen = trained_parameters(block, RECIPE.trained)
    assert len(chosen) == 3
    assert not block["norm1"]["linear"].weight.requires_grad


def test_a_phase_knows_its_own_images_and_classes_alone(
    tuning: Callable, bright: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class 2, told the prior as label 1, is tuned as if the other images were not there."""
    told, memories = [], []
    predict, memory = Prior.predict, Memory.__init__

    def spy(self: Prior, x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        told.append(labels)
        return predict(self, x_t, t, labels)

    def count(self: Memory, *shape: int) -> None:
        memories.append(shape[0])
        memory(self, *shape)

    monkeypatch.setattr(Prior, "predict", spy)
    monkeypatch.setattr(Memory, "__init__", count)
    last = PhaseClasses(1, [2], [1])
    prior, _ = tuning(phase=last, label_dropout=0.0)
    assert torch.cat(told).unique().tolist() == [1]
    assert memories == [1, 1]
    bright.images[bright.labels != 2] = 0
    again, _ = tuning(phase=last, label_dropout=0.0)
    assert all(torch.equal(tensor, state(again)[name]) for name, tensor in state(prior).items())


def test_phases_draw_apart(tuning: Callable) -> None:
    """Even of the same classes: noise and order of images belong to the phase."""
    first, second = (tuning(phase=PhaseClasses(n, [0, 1, 2], [2, 0, 1]))[0] for n in (0, 1))
    name = "proj_out_2.bias"
    assert not torch.equal(state(first)[name], state(second)[name])


def test_sparsity_adds_the_mean_absolute_value_of_the_latents() -> None:
    """With the weights of both criteria at 0 it is all that the tuning adds to the noise's loss."""
    latents = torch.randn(6, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    latents.requires_grad_(True)
    labels, memory = torch.tensor([0, 0, 1, 1, 2, 2]), Memory(3, 4, 16)
    keys = {"representativeness": 0.0, "diversity": 0.0}
    loss = minimax_loss(latents, labels, memory, memory, FinetuneConfig(**keys, sparsity=0.5))
    assert loss.item() == pytest.approx(0.5 * latents.abs().mean().item())
    (gradient,) = torch.autograd.grad(loss, latents)
    torch.testing.assert_close(gradient, 0.5 * latents.sign() / latents.numel())
    plain = minimax_loss(latents, labels, memory, memory, FinetuneConfig(**keys))
    assert plain.item() == 0
