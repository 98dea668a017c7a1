"""Candidates that are real images, or that start from real images."""

import dataclasses
from pathlib import Path

import pytest
import torch
from test_recipes import complaint, folder, run_of  # noqa: F401  # a fixture
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.config.kinds import Amounts
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import draw_settings
from lgd_core.data.real_images import real_increment
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample
from lgd_core.distill import drawing
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.pools import RealPool
from lgd_core.distill.sources import prior as prior_source
from lgd_core.distill.spec import IncrementSpec

NOWHERE = Checkpoint(None)
LABELS = torch.arange(3).repeat(40)
IMAGES = torch.randint(
    0, 256, (120, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


class Real:
    """Forty real images per class, as a data set's are read."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        assert name == "originals"
        return IMAGES, LABELS


def spec(**changes: object) -> IncrementSpec:
    plain = IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=2,
        candidates=3,
        sampling=Sampling(steps=4, cfg_scale=1.0, cfg_channels=None),
        key=(0, 1),
        first_position=2,
    )
    return dataclasses.replace(plain, **changes)


def drawn(prior: Prior, increment: IncrementSpec, scorer: Scorer | None = None) -> dict:
    return draw(prior, Artifacts(scorer, real=Real()), increment, NOWHERE)[0]


def number_of(image: Tensor) -> int:
    """Return the row of a real image."""
    return int((image == IMAGES).flatten(1).all(1).nonzero())


def test_no_real_image_is_the_candidate_of_two_positions():
    """Neither within an increment nor over several, nor one of a seed of random real images."""
    used = real_increment(LABELS, 3, 4, 0, 0).flatten().tolist()
    for first in (4, 8):
        pool = RealPool.of(Real(), [0, 1, 2], 3, first + 3, 0)
        keys = [(c, first + p, j) for c in range(3) for p in range(4) for j in range(3)]
        rows = [number_of(image) for image in pool.of_candidates(keys)]
        assert [int(LABELS[row]) for row in rows] == [key[0] for key in keys]
        used += rows
    assert len(set(used)) == len(used)


def test_a_pool_is_keyed_by_seed_and_class_alone():
    whole = RealPool.of(Real(), [0, 1, 2], 3, 5, 0)
    alone = RealPool.of(Real(), [1], 3, 9, 0)
    key = [(1, 5, 2)]
    assert torch.equal(whole.of_candidates(key), alone.of_candidates(key))
    other = RealPool.of(Real(), [1], 3, 9, 1)
    assert not torch.equal(whole.of_candidates(key), other.of_candidates(key))


def test_a_class_with_too_few_images_is_named():
    with pytest.raises(
        UserError,
        match=r"class 0: found 40 training images, expected at least 42 for 3 candidates of each "
        r"of 14 positions",
    ):
        RealPool.of(Real(), [0], 3, 13, 0)


def test_real_candidates_are_stored_as_they_are(fixed_prior: Prior, scorer: Scorer):
    found = drawn(fixed_prior, spec(real_candidates=3), scorer)
    pool = RealPool.of(Real(), [0, 1, 2], 3, 3, 0)
    keys = [(c, 2 + p, j) for c in range(3) for p in range(2) for j in range(3)]
    expected = pool.of_candidates(keys)
    assert torch.equal(found["images"].flatten(0, 2), expected)
    latents = fixed_prior.encode(expected)
    torch.testing.assert_close(found["latents"].flatten(0, 2), latents)
    labels = torch.tensor([key[0] for key in keys])
    with torch.inference_mode():
        scores = scorer(expected.float() / 255, labels)
    torch.testing.assert_close(found["scores"].flatten(), scores)


def test_real_candidates_may_pass_through_the_autoencoder(fixed_prior: Prior):
    found = drawn(fixed_prior, spec(real_candidates=3, through_autoencoder=True))
    latents = found["latents"].flatten(0, 2)
    assert torch.equal(found["images"].flatten(0, 2), fixed_prior.decode_images(latents))


def test_nothing_is_sampled_where_all_candidates_are_real(fixed_prior: Prior, monkeypatch):
    monkeypatch.setattr(drawing, "sample", None)
    assert drawn(fixed_prior, spec(real_candidates=3))["images"].dtype == torch.uint8


def test_drawn_candidates_come_first_and_are_those_of_an_increment_without_real_ones(
    fixed_prior: Prior,
):
    plain = drawn(fixed_prior, spec(candidates=2))
    mixed = drawn(fixed_prior, spec(candidates=5, real_candidates=3))
    torch.testing.assert_close(mixed["latents"][:, :, :2], plain["latents"], rtol=1e-3, atol=1e-4)
    pool = RealPool.of(Real(), [0, 1, 2], 5, 3, 0)
    for label, position, j in [(0, 0, 2), (2, 1, 4), (1, 0, 3)]:
        (expected,) = pool.of_candidates([(label, 2 + position, j)])
        assert torch.equal(mixed["images"][label, position, j], expected)


def test_results_do_not_hang_on_the_batch(batched, fixed_prior: Prior):
    mixed = spec(candidates=5, real_candidates=3)
    whole = drawn(fixed_prior, mixed)
    small = drawn(batched(fixed_prior, 4), mixed)
    assert torch.equal(whole["images"][:, :, 2:], small["images"][:, :, 2:])
    torch.testing.assert_close(whole["latents"], small["latents"], rtol=1e-3, atol=1e-4)


def test_a_start_is_the_latent_with_the_noise_of_its_step(prior: Prior):
    """By hand: sqrt(a) z + sqrt(1 - a) noise, then the steps that are left."""
    labels = torch.tensor([0, 2])
    begin = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    targets = Conditions(labels, labels, labels)

    def generators() -> list[torch.Generator]:
        return [generator("start", i) for i in range(2)]

    sampling = Sampling(steps=10, cfg_scale=1.0, start=6)
    found = sample(prior, targets, generators(), sampling, {}, GuidanceTrace(), begin)
    rng, scheduler = generators(), prior.scheduler(10)
    noise = torch.cat([torch.randn(1, 4, 8, 8, generator=own) for own in rng])
    t = scheduler.timesteps[3]
    a = scheduler.alphas_cumprod[t]
    x = a.sqrt() * begin + (1 - a).sqrt() * noise
    with torch.no_grad():
        for t in scheduler.timesteps[3:]:
            output = prior.predict(x, torch.full((2,), int(t)), labels)
            x = scheduler.step(output, int(t), x, generator=rng).prev_sample
    torch.testing.assert_close(found, x)


def test_the_later_the_start_the_nearer_to_the_real_image(fixed_prior: Prior):
    pool = RealPool.of(Real(), [0, 1, 2], 3, 3, 0)
    keys = [(c, 2 + p, j) for c in range(3) for p in range(2) for j in range(3)]
    real = fixed_prior.encode(pool.of_candidates(keys))
    distances = []
    for start in (0, 2, 9):
        own = spec(sampling=Sampling(steps=10, cfg_scale=1.0, start=start))
        latents = drawn(fixed_prior, own)["latents"].flatten(0, 2)
        distances.append(float((latents - real).flatten(1).norm(dim=1).mean()))
    assert distances[0] < distances[1] < distances[2]


def test_an_interrupted_draw_resumes_to_the_same_tensors(
    fixed_prior: Prior, scorer: Scorer, tmp_path: Path, monkeypatch
):
    mixed = spec(positions=4, candidates=4, real_candidates=2, classes_per_batch=1)
    artifacts = Artifacts(scorer, real=Real())
    small = dataclasses.replace(fixed_prior, micro_batches=type(fixed_prior.micro_batches)(4))
    expected = draw(small, artifacts, mixed, NOWHERE)[0]
    calls, real_draw = [], drawing.draw_positions

    def stopping(*args, **keys):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real_draw(*args, **keys)

    monkeypatch.setattr(drawing, "draw_positions", stopping)
    with pytest.raises(KeyboardInterrupt):
        draw(small, artifacts, mixed, Checkpoint(tmp_path, 0))
    found = draw(small, artifacts, mixed, Checkpoint(tmp_path, 0))[0]
    assert len(calls) == 3 + 2, "two positions were kept"
    for name in expected:
        assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"real_candidates": 4}, "real_candidates: found 4, expected at most 3, the candidates"),
        ({"real_candidates": 3}, "real_candidates: found 3, all candidates, expected fewer with"),
        ({"start_step": 10}, "start_step: found 10, expected less than 10"),
    ],
)
def test_keys_that_do_not_agree(folder, keys, part):  # noqa: F811
    run = run_of("lgd") | {"overrides": {"methods": {"lgd": keys}}}
    assert part in complaint(folder, run)


def test_settings_of_methods_without_real_candidates_stay_as_they_were(folder):  # noqa: F811
    recipes = Recipes(folder, run_of("lgd", "dit", "lgd_mixed"))
    new = {"real_candidates", "start_step", "through_autoencoder"}
    for method in ("lgd", "dit"):
        keys = draw_settings(recipes.method("digits", method), 1).model_dump()["keys"]
        assert not new & set(keys)
    mixed = draw_settings(recipes.method("digits", "lgd_mixed"), 1).model_dump()["keys"]
    assert new & set(mixed) == {"real_candidates"}


@pytest.mark.parametrize(
    ("name", "sampler", "acts"),
    [
        ("lgd_real", {"steps": 9, "cfg_scale": 2.0, "scheduler": "ddim"}, False),
        ("lgd_real", {"classes_per_batch": 2}, True),
        ("lgd_mixed", {"cfg_scale": 2.0}, True),
    ],
)
def test_sampler_keys_decide_what_is_drawn_alone(folder, name, sampler, acts):  # noqa: F811
    run = run_of(name)
    other = run | {"overrides": {"methods": {name: {"sampler": sampler}}}}
    before, after = (
        draw_settings(Recipes(folder, keys).method("digits", name), 1) for keys in (run, other)
    )
    assert (before != after) == acts


def test_costs_count_what_is_drawn_and_what_is_read(folder):  # noqa: F811
    names = ("lgd", "lgd_real", "lgd_noised", "lgd_mixed")
    recipes = Recipes(folder, run_of(*names))
    amounts = Amounts(classes=10, images=1000, images_per_class=100, smallest_class=100)
    costs = {
        name: prior_source.evaluations(recipes.method("digits", name), 1, amounts) for name in names
    }
    steps = recipes.method("digits", "lgd").sampler.steps
    cfg = 2
    assert costs["lgd"]["transformer_forward"] == 3 * cfg * steps
    assert "encoder_forward" not in costs["lgd"]
    assert costs["lgd_real"] == {
        "encoder_forward": 3,
        "learner_forward": 3,
        "reference_forward": 3,
    }
    noised, lgd = costs["lgd_noised"], costs["lgd"]
    assert noised["transformer_forward"] == 3 * cfg * 6
    assert noised["encoder_forward"] == 3
    assert noised["decoder_backward"] < lgd["decoder_backward"], "fewer steps are guided"
    mixed = costs["lgd_mixed"]
    assert mixed["transformer_forward"] == lgd["transformer_forward"]
    assert mixed["encoder_forward"] == 3
    assert mixed["learner_forward"] == lgd["learner_forward"] + 3
