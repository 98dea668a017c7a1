"""Traces of guidance: the same noise, what probes see, and that they change nothing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lgd_core.analysis import traces
from lgd_core.analysis.trace_tables import trace_frame
from lgd_core.analysis.traces import OnlyAt, trace_guidance
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.config.models.method import SamplerConfig
from lgd_core.diffusion.guidance import DenoisingStep, nearest_similarity
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.context import unguided_increment
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.deviation import DeviationConfig
from lgd_core.distill.guidances.modes import ModesConfig
from lgd_core.distill.modes import ModeGuidance
from lgd_core.distill.spec import IncrementSpec

NOWHERE = Checkpoint(None)
MEMORY = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
STEPS, WINDOW = 6, (1, 3)
QUANTITIES = {"score", "learner_loss", "reference_loss", "similarity"}


@pytest.fixture
def artifacts(scorer: Scorer) -> Artifacts:
    return Artifacts(scorer, MEMORY)


def spec(learnability: float = 0.5, deviation: float = 0.5) -> IncrementSpec:
    return IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=4,
        candidates=3,
        sampling=Sampling(steps=STEPS, cfg_scale=1.5, cfg_channels=None, window=WINDOW),
        key=(0, 1),
        guidance={
            name: settings
            for name, settings in {
                "learnability": LearnabilityConfig(strength=learnability, norm="relative"),
                "deviation": DeviationConfig(strength=deviation, norm="relative"),
            }.items()
            if settings.strength
        },
    )


def test_a_trace_has_every_step_of_both_paths(fixed_prior: Prior, artifacts: Artifacts) -> None:
    trace = trace_guidance(fixed_prior, artifacts, spec(), 2, NOWHERE)
    changes = {"change_learnability", "change_deviation"}
    for path, quantities in (("guided", QUANTITIES | changes), ("unguided", QUANTITIES)):
        found = {name.split(".")[1] for name in trace if name.startswith(f"{path}.")}
        assert found == quantities | {"alpha_bar"}
        assert all(trace[f"{path}.{name}"].shape == (STEPS, 3 * 2) for name in quantities)
    alpha_bars = trace["guided.alpha_bar"]
    assert (alpha_bars.diff() > 0).all(), "noise goes"


def test_paths_part_in_the_window_and_not_before(fixed_prior: Prior, artifacts: Artifacts) -> None:
    trace = trace_guidance(fixed_prior, artifacts, spec(), 2, NOWHERE)
    guided, unguided = trace["guided.score"], trace["unguided.score"]
    # Indices 5, 4 and 3: the probe sees x0 before the change at 3.
    assert torch.equal(guided[:3], unguided[:3])
    assert (guided[3:] != unguided[3:]).all()
    for name in ("learnability", "deviation"):
        acting = (trace[f"guided.change_{name}"] > 0).all(1)
        assert acting.tolist() == [WINDOW[0] <= 5 - i <= WINDOW[1] for i in range(STEPS)]


@pytest.mark.parametrize(
    ("on", "quantity", "sign"), [("learnability", "score", 1), ("deviation", "similarity", -1)]
)
def test_guidance_does_what_it_should(
    fixed_prior: Prior, artifacts: Artifacts, on: str, quantity: str, sign: int
) -> None:
    alone = {"learnability": 0.0, "deviation": 0.0} | {on: 0.5}
    trace = trace_guidance(fixed_prior, artifacts, spec(**alone), 2, NOWHERE)
    change = (trace[f"guided.{quantity}"] - trace[f"unguided.{quantity}"])[-1].mean()
    assert sign * change > 0


def test_the_first_position_is_redrawn_as_the_increment_has_it(
    fixed_prior: Prior, artifacts: Artifacts
) -> None:
    drawn, ratios = draw(fixed_prior, artifacts, spec(), NOWHERE)
    trace = trace_guidance(fixed_prior, artifacts, spec(), 1, NOWHERE)
    # At the last step x0 is the sample; images are stored clamped, in 8 bits.
    assert torch.allclose(trace["guided.score"][-1], drawn["scores"][:, 0, 0], atol=0.02)
    latents = drawn["latents"][:, 0, 0]
    expected = nearest_similarity(latents, MEMORY)
    assert torch.allclose(trace["guided.similarity"][-1], expected, atol=1e-3)
    assert trace["guided.change_learnability"][2].mean().item() == pytest.approx(
        ratios["learnability"][3], rel=1e-3
    )


CENTRES = 3 * torch.randn(3, 30, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def mode_guided(increment: int, **changes: object) -> IncrementSpec:
    """Return an increment of 10 positions, pulled to the class's centres and to nothing else."""
    sampler = SamplerConfig(steps=STEPS, cfg_scale=1.5, cfg_channels=None, classes_per_batch=1)
    plain = unguided_increment(sampler, [0, 1, 2], [0, 1, 2], 10, (0, increment))
    sampling = dataclasses.replace(plain.sampling, window=WINDOW)
    modes = ModesConfig(strength=0.02, clusters=30)
    spec = dataclasses.replace(plain, sampling=sampling, guidance={"modes": modes})
    return dataclasses.replace(spec, **changes)


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the centres that class 0 was pulled to, in order, to be filled by what is drawn."""
    seen: list[int] = []
    guide = ModeGuidance.__call__

    def spy(self: ModeGuidance, step: DenoisingStep) -> Tensor:
        seen.extend(step.positions[step.labels == 0].tolist())
        return guide(self, step)

    monkeypatch.setattr(ModeGuidance, "__call__", spy)
    return seen


@pytest.mark.parametrize("increment", [0, 1, 2])
def test_traced_positions_have_the_noise_and_the_centres_of_the_increment(
    fixed_prior: Prior, scorer: Scorer, pulled: list[int], increment: int
) -> None:
    artifacts, spec = Artifacts(scorer, MEMORY, modes=CENTRES), mode_guided(increment)
    drawn = draw(fixed_prior, artifacts, spec, NOWHERE)[0]
    assert list(dict.fromkeys(pulled)) == list(range(10 * increment, 10 * increment + 10))
    pulled.clear()
    trace = trace_guidance(fixed_prior, artifacts, spec, 3, NOWHERE)
    assert list(dict.fromkeys(pulled)) == list(range(10 * increment, 10 * increment + 3))
    similarity = nearest_similarity(
        drawn["latents"][:, :3, 0].flatten(0, 1), MEMORY.repeat_interleave(3, 0)
    )
    assert torch.allclose(trace["guided.similarity"][-1], similarity, atol=1e-3)
    scores = drawn["scores"][:, :3, 0].flatten()
    assert torch.allclose(trace["guided.score"][-1], scores, atol=0.02)


def test_a_shard_and_a_resumed_draw_keep_their_place_among_all_increments(
    fixed_prior: Prior,
    batched: Callable,
    scorer: Scorer,
    pulled: list[int],
    tmp_path: Path,
    interrupt_after: Callable,
) -> None:
    prior, artifacts = batched(fixed_prior, 4), Artifacts(scorer, MEMORY, modes=CENTRES)
    whole = draw(prior, artifacts, mode_guided(1), NOWHERE)[0]["latents"]
    shard = mode_guided(1, classes=[0])
    interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        draw(prior, artifacts, shard, Checkpoint(tmp_path))
    pulled.clear()
    part = draw(prior, artifacts, shard, Checkpoint(tmp_path))[0]["latents"]
    assert list(dict.fromkeys(pulled)) == list(range(14, 20)), "after the four drawn before"
    assert torch.equal(part, whole[[0]])


def test_scores_are_losses_weighted(fixed_prior: Prior, artifacts: Artifacts) -> None:
    trace = trace_guidance(fixed_prior, artifacts, spec(), 1, NOWHERE)
    expected = trace["guided.learner_loss"] - 0.5 * trace["guided.reference_loss"]
    assert torch.equal(trace["guided.score"], expected)


def test_batches_change_nothing(
    batched: Callable, fixed_prior: Prior, artifacts: Artifacts
) -> None:
    whole, parts = (
        trace_guidance(batched(fixed_prior, size), artifacts, spec(), 2, NOWHERE)
        for size in (64, 4)
    )
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.allclose(tensor, parts[name], rtol=1e-3, atol=1e-4), name


def test_an_interrupted_trace_goes_on_with_the_unguided_path(
    fixed_prior: Prior,
    artifacts: Artifacts,
    tmp_path: Path,
    interrupt_after: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = trace_guidance(fixed_prior, artifacts, spec(), 1, NOWHERE)
    interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        trace_guidance(fixed_prior, artifacts, spec(), 1, Checkpoint(tmp_path))
    followed: list[set[str]] = []
    real = traces.draw_positions

    def spy(*args: object) -> dict[str, Tensor]:
        followed.append(set(args[4]))
        return real(*args)

    monkeypatch.setattr(traces, "draw_positions", spy)
    found = trace_guidance(fixed_prior, artifacts, spec(), 1, Checkpoint(tmp_path))
    assert followed == [{"probe"}]
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("scheduler", ["ddpm", "ddim", "dpm-solver++"])
def test_a_trace_follows_the_scheduler_and_the_guided_steps_of_its_increment(
    fixed_prior: Prior, artifacts: Artifacts, scheduler: str
) -> None:
    plain = spec()
    changes = {"steps": 5, "window": (0, 3), "every": 2, "cfg_window": (2, 3)}
    sampling = dataclasses.replace(plain.sampling, scheduler=scheduler, **changes)
    known = dataclasses.replace(plain, sampling=sampling)
    trace = trace_guidance(fixed_prior, artifacts, known, 1, NOWHERE)
    acting = (trace["guided.change_learnability"] > 0).all(1)
    assert acting.tolist() == [False, True, False, True, False], "indices 3 and 1 of 4 to 0"
    scheduled = fixed_prior.scheduler(5, scheduler)
    assert torch.equal(
        trace["guided.alpha_bar"], scheduled.alphas_cumprod[scheduled.timesteps].float()
    )
    drawn = draw(fixed_prior, artifacts, known, NOWHERE)[0]
    similarity = nearest_similarity(drawn["latents"][:, 0, 0], MEMORY)
    assert torch.allclose(trace["guided.similarity"][-1], similarity, atol=1e-3)


def test_a_guidance_is_not_evaluated_at_other_noise_levels() -> None:
    calls: list[float] = []

    @dataclasses.dataclass
    class Step:
        alpha_bar: Tensor
        noise: Tensor

    def guidance(step: Step) -> Tensor:
        calls.append(step.alpha_bar.item())
        return torch.ones_like(step.noise)

    some = OnlyAt(guidance, frozenset([0.25, 0.75]))
    levels = (0.0, 0.25, 0.5, 0.75, 1)
    changes = [some(Step(torch.tensor(a), torch.zeros(1, 1))).item() for a in levels]
    assert changes == [0, 1, 0, 1, 0]
    assert calls == [0.25, 0.75]


def test_frame_counts_steps_down_and_averages_over_images() -> None:
    values = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    tensors = {
        f"{path}.{name}": tensor
        for path in ("guided", "unguided")
        for name, tensor in (("alpha_bar", torch.tensor([0.25, 0.75])), ("score", values))
    }
    frame = trace_frame(tensors)
    guided = frame[frame["path"] == "guided"]
    assert guided["step"].tolist() == [1, 0]
    assert guided["alpha_bar"].tolist() == [0.25, 0.75]
    assert guided["mean"].tolist() == [2, 5]
    assert guided["std"].tolist() == pytest.approx([2**0.5, 0])
    assert set(frame["n"]) == {2}
