"""Keyed candidates, the greedy choice, the memory it feeds, and resumption."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.divisions import class_runs
from lgd_core.config.kinds import guidance_kinds
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.diffusion.guidance import DeviationGuidance, nearest_similarity
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, Sampling
from lgd_core.distill import drawing
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.influence import Influence
from lgd_core.distill.selection import best_of_positions, build_increment, select, take
from lgd_core.distill.spec import IncrementSpec, batches, rounds
from lgd_core.networks.classifiers import Preprocess

NOWHERE = Checkpoint(None)
MEMORY = torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


BOTH = {
    "learnability": {"strength": 0.1, "norm": "relative"},
    "deviation": {"strength": 0.05, "norm": "relative", "memory": None},
}
# What needs no scorer.
UNSCORED = {"learnability": {"strength": 0.0}}


def with_memory(scorer: Scorer | None = None, labels: list[int] | None = None) -> Artifacts:
    """Return artifacts with the memory of a shard's classes; without labels, of all."""
    return Artifacts(scorer, MEMORY if labels is None else MEMORY[labels])


def spec(**changes: object) -> IncrementSpec:
    """Return an increment of 3 classes, 2 positions and 3 candidates, with both guidances.

    ``changes`` are fields of a task, or the recipes of guidances by name.
    """
    plain = IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=2,
        candidates=3,
        sampling=Sampling(steps=4, cfg_scale=1.5, cfg_channels=None, window=(1, 2)),
        key=(0, 1),
        classes_per_batch=None,
    )
    fields = {field.name for field in dataclasses.fields(IncrementSpec)}
    guidance = BOTH | {name: keys for name, keys in changes.items() if name not in fields}
    changes = {name: value for name, value in changes.items() if name in fields}
    return dataclasses.replace(plain, guidance=acting(guidance), **changes)


def acting(guidance: dict[str, dict]) -> dict[str, GuidanceConfig]:
    """Return the guidances of a strength; a negative one, which no recipe has, turns them round."""
    kinds = guidance_kinds()
    return {
        name: kinds[name].settings().model_copy(update=keys)
        for name, keys in guidance.items()
        if keys["strength"]
    }


@pytest.fixture
def initial_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sampling return the initial noise."""

    def noise(prior: Prior, targets: Conditions, generators: list, *args: object) -> Tensor:
        assert len(targets.labels) == len(generators)
        shape = (1, *prior.latent_shape)
        return torch.cat([torch.randn(shape, generator=rng) for rng in generators])

    monkeypatch.setattr(drawing, "sample", noise)


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_initial_noise_is_the_same_for_any_batch(
    batched: Callable, initial_noise: None, fixed_prior: Prior, max_batch: int
) -> None:
    expected = draw(batched(fixed_prior, 9), with_memory(), spec(**UNSCORED), NOWHERE)[0]["latents"]
    found = draw(batched(fixed_prior, max_batch), with_memory(), spec(**UNSCORED), NOWHERE)[0][
        "latents"
    ]
    assert torch.equal(found, expected)
    assert len(found.flatten(0, 2).flatten(1).unique(dim=0)) == 3 * 2 * 3


def test_initial_noise_is_the_same_for_any_shards(initial_noise: None, fixed_prior: Prior) -> None:
    expected = draw(fixed_prior, with_memory(), spec(**UNSCORED), NOWHERE)[0]["latents"]
    for shard in range(3):
        labels = class_runs(3, 3)[shard]
        part = spec(classes=labels, **UNSCORED)
        assert torch.equal(
            draw(fixed_prior, with_memory(None, labels), part, NOWHERE)[0]["latents"],
            expected[labels],
        )


def test_shards_that_share_batches_differ_in_the_last_bits_only(
    fixed_prior: Prior, scorer: Scorer
) -> None:
    whole = draw(fixed_prior, with_memory(scorer), spec(), NOWHERE)[0]
    for labels in ([0], [1, 2]):
        part = draw(fixed_prior, with_memory(scorer, labels), spec(classes=labels), NOWHERE)[0]
        for name in ("latents", "scores"):
            torch.testing.assert_close(part[name], whole[name][labels], rtol=1e-3, atol=1e-4)
        assert torch.equal(part["scores"].argmax(-1), whole["scores"][labels].argmax(-1))


def test_initial_noise_depends_on_seed_and_increment(
    initial_noise: None, fixed_prior: Prior
) -> None:
    drawn = [
        draw(fixed_prior, with_memory(), spec(key=key, **UNSCORED), NOWHERE)[0]["latents"]
        for key in [(0, 1), (0, 2), (1, 1)]
    ]
    assert not any(torch.equal(drawn[i], drawn[j]) for i, j in [(0, 1), (0, 2), (1, 2)])


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_guided_latents_are_the_same_for_any_batch(
    batched: Callable, fixed_prior: Prior, scorer: Scorer, max_batch: int
) -> None:
    expected = draw(batched(fixed_prior, 9), with_memory(scorer), spec(), NOWHERE)[0]
    found = draw(batched(fixed_prior, max_batch), with_memory(scorer), spec(), NOWHERE)[0]
    assert torch.allclose(found["latents"], expected["latents"], rtol=1e-4, atol=1e-4)


def test_guided_draws_are_the_same_bit_for_bit_for_any_shards(
    fixed_prior: Prior, scorer: Scorer
) -> None:
    expected = draw(fixed_prior, with_memory(scorer), spec(classes_per_batch=1), NOWHERE)[0]
    for shards in (2, 3):
        for shard in range(shards):
            labels = class_runs(3, shards)[shard]
            part = spec(classes=labels, classes_per_batch=1)
            found = draw(fixed_prior, with_memory(scorer, labels), part, NOWHERE)[0]
            for name, tensor in found.items():
                assert torch.equal(tensor, expected[name][labels]), name


def test_the_highest_score_of_the_image_as_stored_is_kept(
    fixed_prior: Prior, scorer: Scorer, learner: nn.Module, reference: nn.Module
) -> None:
    candidates = draw(fixed_prior, with_memory(scorer), spec(), NOWHERE)[0]
    latents, images = candidates["latents"].flatten(0, 2), candidates["images"].flatten(0, 2)
    with torch.no_grad():
        decoded = fixed_prior.autoencoder.decode(latents / 0.5).sample
    assert torch.equal(images, ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8))

    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    x = (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    labels = torch.arange(3).repeat_interleave(6)
    losses = [F.cross_entropy(model(x), labels, reduction="none") for model in (learner, reference)]
    scores = (losses[0] - 0.5 * losses[1]).view(3, 2, 3)
    assert torch.allclose(candidates["scores"], scores, atol=1e-4)

    chosen = best_of_positions(candidates["scores"])
    kept = build_increment(candidates, [0, 1, 2], chosen)
    assert torch.allclose(kept["scores"], scores.amax(2).flatten(), atol=1e-4)
    best = scores.argmax(2).flatten()
    assert best.unique().numel() > 1
    assert torch.equal(kept["candidates"], best)
    assert torch.equal(kept["images"], images.view(6, 3, 3, 16, 16)[torch.arange(6), best])


class RisingScorer(Scorer):
    """Scores whose best candidate is 2, then 1, then 0 as positions go by."""

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        self.__dict__["calls"] = calls = self.__dict__.get("calls", -1) + 1
        return torch.eye(3)[2 - calls % 3].repeat(len(labels) // 3)


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the memory that every guided sampling sees."""
    seen: list[Tensor] = []
    sample = drawing.sample

    def spy(*args: object) -> Tensor:
        (deviation,) = (g for g in args[4].values() if isinstance(g, DeviationGuidance))
        seen.append(deviation.memory)
        return sample(*args)

    monkeypatch.setattr(drawing, "sample", spy)
    return seen


def test_each_position_sees_the_choices_before_it(
    fixed_prior: Prior, learner: nn.Module, preprocess: Preprocess, memories: list[Tensor]
) -> None:
    scorer = RisingScorer(learner, learner, preprocess, 0.0)
    asked = spec(positions=3, learnability={"strength": 0.0})
    candidates = draw(fixed_prior, with_memory(scorer), asked, NOWHERE)[0]
    chosen = [candidates["latents"][:, position, 2 - position] for position in range(3)]
    assert [memory.shape[1] for memory in memories] == [2, 3, 4]
    assert torch.equal(memories[0], MEMORY)
    assert torch.equal(memories[1], torch.cat([MEMORY, chosen[0][:, None]], 1))
    assert torch.equal(memories[2], torch.cat([memories[1], chosen[1][:, None]], 1))


def test_without_a_memory_the_first_position_deviates_from_nothing(
    fixed_prior: Prior, scorer: Scorer
) -> None:
    asked = spec(classes_per_batch=1)
    found, ratios = draw(fixed_prior, Artifacts(scorer), asked, NOWHERE)
    plain = draw(fixed_prior, Artifacts(scorer), spec(deviation={"strength": 0.0}), NOWHERE)[0]
    same = torch.isclose(found["latents"], plain["latents"], atol=1e-4).flatten(3).all(-1)
    assert same[:, 0].all()
    assert not same[:, 1].any()
    assert "deviation" in ratios


def test_a_limited_memory_forgets_the_oldest(
    fixed_prior: Prior, scorer: Scorer, memories: list[Tensor]
) -> None:
    asked = spec(deviation={"strength": 0.05, "norm": "relative", "memory": 2})
    candidates = draw(fixed_prior, with_memory(scorer), asked, NOWHERE)[0]
    first = take(candidates["latents"], select(candidates["scores"]))[:, 0]
    assert torch.equal(memories[0], MEMORY)
    assert torch.equal(memories[1], torch.stack([MEMORY[:, 1], first], 1))


def test_a_shard_s_memory_is_found_by_label(
    fixed_prior: Prior, scorer: Scorer, memories: list[Tensor]
) -> None:
    asked = spec(classes_per_batch=1, positions=1)
    whole = draw(fixed_prior, with_memory(scorer), asked, NOWHERE)[0]["latents"]
    memories.clear()
    shard = dataclasses.replace(asked, classes=[2, 0])
    found = draw(fixed_prior, with_memory(scorer, [2, 0]), shard, NOWHERE)[0]["latents"]
    assert all(torch.equal(memory, MEMORY[[2, 0]]) for memory in memories), "of no other class"
    assert torch.equal(found, whole[[2, 0]])


OFF = {name: {"strength": 0.0} for name in ("learnability", "deviation", "influence")}


@pytest.mark.parametrize("name", ["learnability", "deviation"])
def test_guided_samples_end_where_guidance_aims(
    fixed_prior: Prior, scorer: Scorer, name: str
) -> None:
    found = []
    for strength in (0.5, -0.5):
        settings = OFF | {name: {"strength": strength, "norm": "relative", "memory": None}}
        drawn = draw(fixed_prior, with_memory(scorer), spec(positions=1, **settings), NOWHERE)[0]
        memory = MEMORY.repeat_interleave(3, 0)
        similarity = nearest_similarity(drawn["latents"].flatten(0, 2), memory).mean()
        found.append({"learnability": drawn["scores"].mean(), "deviation": -similarity}[name])
    assert found[0] > found[1] + 0.01


def test_influence_guidance_raises_the_influence_of_every_class_and_the_other_sign_lowers_it(
    fixed_prior: Prior, influence: Influence
) -> None:
    found = []
    for strength in (0.5, 0.0, -0.5):
        settings = OFF | {"influence": {"strength": strength, "norm": "relative"}}
        asked = spec(candidates=8, positions=1, **settings)
        drawn, ratios = draw(fixed_prior, Artifacts(influence=influence), asked, NOWHERE)
        assert list(ratios) == (["influence"] if strength else [])
        labels = torch.arange(3).repeat_interleave(8)
        scores = influence(drawn["images"].flatten(0, 2) / 255, labels)
        found.append(scores.view(3, 8).mean(1))
    raised, plain, lowered = found
    assert (raised > plain).all()
    assert (plain > lowered).all()


def test_influence_guided_draws_are_the_same_for_any_batch_and_shards(
    batched: Callable, fixed_prior: Prior, influence: Influence
) -> None:
    settings = OFF | {"influence": {"strength": 0.5, "norm": "relative"}}
    asked, artifacts = spec(classes_per_batch=1, **settings), Artifacts(influence=influence)
    expected = draw(batched(fixed_prior, 64), artifacts, asked, NOWHERE)[0]["latents"]
    found = draw(batched(fixed_prior, 2), artifacts, asked, NOWHERE)[0]["latents"]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    part = dataclasses.replace(asked, classes=[2])
    shard = draw(batched(fixed_prior, 64), artifacts, part, NOWHERE)[0]["latents"]
    assert torch.equal(shard, expected[[2]]), "bit for bit"


def test_an_unscored_task_has_nan_scores_and_no_ratios(fixed_prior: Prior) -> None:
    plain = spec(candidates=1, learnability={"strength": 0.0}, deviation={"strength": 0.0})
    candidates, ratios = draw(fixed_prior, with_memory(), plain, NOWHERE)
    assert candidates["scores"].isnan().all()
    assert ratios == {}


def test_ratios_cover_the_window_with_the_relative_strength(
    fixed_prior: Prior, scorer: Scorer
) -> None:
    ratios = draw(fixed_prior, with_memory(scorer), spec(), NOWHERE)[1]
    alphas = fixed_prior.scheduler(4).alphas_cumprod[[333, 666]]
    for name, strength in (("learnability", 0.1), ("deviation", 0.05)):
        assert list(ratios[name]) == [2, 1]
        expected = (strength * (1 - alphas).sqrt()).tolist()
        assert [ratios[name][1], ratios[name][2]] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("saves", [1, 2])
def test_an_interrupted_draw_resumes_to_the_same_tensors(
    fixed_prior: Prior, scorer: Scorer, tmp_path: Path, interrupt_after: Callable, saves: int
) -> None:
    asked = spec(positions=3)
    expected = draw(fixed_prior, with_memory(scorer), asked, NOWHERE)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        draw(fixed_prior, with_memory(scorer), asked, Checkpoint(tmp_path))
    calls = []
    counted = dataclasses.replace(
        scorer, preprocess=lambda x: calls.append(1) or scorer.preprocess(x)
    )
    tensors, ratios = draw(fixed_prior, with_memory(counted), asked, Checkpoint(tmp_path))
    assert all(torch.equal(tensors[name], expected[0][name]) for name in expected[0])
    assert ratios == expected[1]
    assert len(calls) == (3 - saves) * (1 + 2)


def test_a_draw_resumed_with_another_batch_loses_no_position(
    batched: Callable,
    initial_noise: None,
    fixed_prior: Prior,
    tmp_path: Path,
    interrupt_after: Callable,
) -> None:
    off = {"strength": 0.0}
    asked = spec(positions=6, candidates=1, learnability=off, deviation=off)
    six, nine = batched(fixed_prior, 6), batched(fixed_prior, 9)
    expected = draw(six, with_memory(), asked, NOWHERE)[0]["latents"]
    interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        draw(six, with_memory(), asked, Checkpoint(tmp_path))
    assert torch.equal(
        draw(nine, with_memory(), asked, Checkpoint(tmp_path))[0]["latents"], expected
    )


def test_positions_are_drawn_one_by_one_under_deviation_and_together_without() -> None:
    def lengths(max_batch: int = 64, **changes: object) -> list[range]:
        return list(rounds(spec(positions=5, **changes), max_batch))

    off = {"strength": 0.0}
    assert lengths() == [range(i, i + 1) for i in range(5)]
    assert lengths(deviation=off, max_batch=18) == [range(0, 2), range(2, 4), range(4, 5)]
    assert lengths(deviation=off, max_batch=9, classes_per_batch=1) == [range(0, 3), range(3, 5)]
    assert lengths(deviation=off, max_batch=1) == [range(i, i + 1) for i in range(5)]
    assert lengths(deviation=off, max_batch=1000) == [range(0, 5)]


@pytest.mark.parametrize(
    ("classes_per_batch", "max_batch", "expected"),
    [
        (1, 64, [(3, [4]), (3, [0]), (3, [2])]),
        (2, 64, [(6, [4, 0]), (3, [2])]),
        (None, 64, [(9, [4, 0, 2])]),
        (None, 5, [(5, [4, 0]), (4, [0, 2])]),
    ],
)
def test_batches_hold_as_many_classes_as_asked_for(
    classes_per_batch: int | None, max_batch: int, expected: list[tuple[int, list[int]]]
) -> None:
    asked = spec(classes=[4, 0, 2], classes_per_batch=classes_per_batch)
    found = list(batches(asked, range(1, 2), max_batch))
    assert [(len(keys), list(dict.fromkeys(label for label, *_ in keys))) for keys in found] == (
        expected
    )
    assert [key for keys in found for key in keys] == [
        (label, 1, candidate) for label in (4, 0, 2) for candidate in range(3)
    ]
