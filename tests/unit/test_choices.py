"""What is chosen among candidates: the best, the most confident ones, and whole groups (S3)."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from test_pools import IMAGES, LABELS, Real
from test_recipes import complaint, folder, run_of  # noqa: F401  # a fixture
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.tensors import save_tensors
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.recipes import Recipes
from lgd_core.config.settings import ChoiceSettings, StoredImages
from lgd_core.config.stages import choice_settings, draw_settings, seed_settings
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.choices import s3
from lgd_core.distill.choices.s3 import SubgroupConfig
from lgd_core.distill.drawing import draw
from lgd_core.distill.selection import build_increment, choose, select, select_shards, take
from lgd_core.distill.spec import IncrementSpec
from lgd_core.distill.subgroups import best_groups
from lgd_core.networks.classifiers import Preprocess

NOWHERE = Checkpoint(None)
SPEC = IncrementSpec(
    classes=[0, 1, 2],
    prior_labels=[0, 1, 2],
    positions=3,
    candidates=4,
    sampling=Sampling(steps=4, cfg_scale=1.0, cfg_channels=None),
    key=(0, 1),
)
STORED = StoredImages(classes=3, image={"size": 16, "channels": 3})


class TrainReal(Real):
    """Real images as networks see them too."""

    def split(self, name: str) -> tuple[Tensor, Tensor]:
        return (IMAGES, LABELS) if name == "train" else super().split(name)


@pytest.fixture
def artifacts(reference: nn.Module, preprocess: Preprocess) -> Artifacts:
    return Artifacts(reference=reference, real=TrainReal(), preprocess=preprocess)


def drawn(prior: Prior, artifacts: Artifacts, select: str, **changes) -> dict[str, Tensor]:
    spec = dataclasses.replace(SPEC, select=select, **changes)
    return draw(prior, artifacts, spec, NOWHERE)[0]


def plain_probabilities(network: nn.Module, preprocess: Preprocess, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(preprocess(images.flatten(0, 2).float() / 255)).softmax(1)


def test_the_confident_are_right_before_wrong_and_fall_in_probability(
    fixed_prior: Prior, artifacts: Artifacts, reference: nn.Module, preprocess: Preprocess
):
    candidates = drawn(fixed_prior, artifacts, "confident")
    found = choose(ChoiceSettings(select="confident"), candidates)
    assert found.shape == (3, 3)
    probabilities = plain_probabilities(reference, preprocess, candidates["images"])
    for label in range(3):
        own = probabilities[label * 12 : (label + 1) * 12]
        right = (own.argmax(1) == label).tolist()
        ranks = sorted(
            range(12), key=lambda i, own=own, right=right: (not right[i], -own[i][label])
        )
        assert found[label].tolist() == ranks[:3]
    sizes = [len(set(row.tolist())) for row in found]
    assert sizes == [3, 3, 3], "no candidate is taken twice"


def test_an_increment_says_where_its_images_were_drawn(fixed_prior: Prior, artifacts: Artifacts):
    candidates = drawn(fixed_prior, artifacts, "confident")
    chosen = choose(ChoiceSettings(select="confident"), candidates)
    kept = build_increment(candidates, [0, 1, 2], chosen)
    places = zip(kept["labels"], kept["drawn_positions"], kept["candidates"], strict=True)
    for row, (label, position, candidate) in enumerate(places):
        for name in ("images", "latents", "scores"):
            assert torch.equal(kept[name][row], candidates[name][label, position, candidate])
    assert kept["positions"].tolist() == [0, 1, 2] * 3


def plain_score(centroids, real, groups, centre_weight, pair_weight) -> float:
    """Return the score of a choice of groups, class by class and pair by pair."""

    def distance(a, b) -> float:
        return 1 - float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    chosen = [centroids[c][g] for c, g in enumerate(groups)]
    near = sum(np.log(distance(a, b)) for a, b in zip(chosen, real, strict=True))
    apart = sum(np.log(distance(a, b)) for a, b in itertools.combinations(chosen, 2))
    return pair_weight * apart - centre_weight * near


@pytest.mark.parametrize("weights", [(0.4, 0.9), (0.4, 0.0), (0.0, 0.9), (5.0, 0.1)])
def test_no_class_can_better_the_score_by_another_group(weights):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        centroids, real = rng.normal(size=(4, 3, 8)), rng.normal(size=(4, 8))
        found = best_groups(torch.tensor(centroids), torch.tensor(real), *weights).tolist()
        best = plain_score(centroids, real, found, *weights)
        for label, group in itertools.product(range(4), range(3)):
            other = [*found[:label], group, *found[label + 1 :]]
            assert plain_score(centroids, real, other, *weights) <= best + 1e-9


def test_without_pairs_groups_are_those_nearest_to_the_real_images():
    rng = np.random.default_rng(0)
    centroids, real = (
        torch.tensor(rng.normal(size=(4, 3, 8))),
        torch.tensor(rng.normal(size=(4, 8))),
    )
    expected = torch.cosine_similarity(centroids, real[:, None], dim=2).argmax(1)
    assert torch.equal(best_groups(centroids, real, 0.4, 0.0), expected)


def test_two_classes_alike_are_moved_apart():
    """Both are nearest to their real images in the same place; the pair's weight parts them."""
    one, other, third = torch.eye(3).unbind()
    centroids = torch.stack([torch.stack([one + 0.01 * third, other]), torch.stack([one, third])])
    real = torch.stack([one + 0.3 * other, one + 0.3 * third])
    assert best_groups(centroids, real, 1.0, 0.0).tolist() == [0, 0]
    assert best_groups(centroids, real, 0.1, 1.0).tolist() != [0, 0]


def test_a_subgroup_has_one_candidate_index_at_all_positions(
    fixed_prior: Prior, artifacts: Artifacts, reference: nn.Module, preprocess: Preprocess
):
    candidates = drawn(fixed_prior, artifacts, "s3")
    assert candidates["scores"].isnan().all(), "nothing ranks them"
    torch.testing.assert_close(candidates["features"].norm(dim=3), torch.ones(3, 3, 4))
    found = choose(ChoiceSettings(select="s3", keys=SubgroupConfig()), candidates)
    groups = found % 4
    assert (groups == groups[:, :1]).all()
    assert torch.equal(found // 4, torch.arange(3).expand(3, 3))
    centroids = candidates["features"].mean(1)
    expected = best_groups(centroids, candidates["real_features"], 0.4, 0.9)
    assert torch.equal(groups[:, 0], expected)


def test_real_features_are_those_of_the_first_images(
    artifacts: Artifacts, reference: nn.Module, preprocess: Preprocess, monkeypatch
):
    monkeypatch.setattr(s3, "REAL_IMAGES", 7)
    found = s3.of_classes(artifacts, [2, 0])["real_features"]
    features: list[Tensor] = []
    last = [part for part in reference.modules() if isinstance(part, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    for row, label in enumerate([2, 0]):
        own = IMAGES[label == LABELS][:7].float() / 255
        with torch.no_grad():
            reference(preprocess(own))
        expected = (features[-1] / features[-1].norm(dim=1, keepdim=True)).mean(0)
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("select", ["confident", "s3"])
def test_shards_choose_what_one_job_chooses(
    fixed_prior: Prior, artifacts: Artifacts, tmp_path: Path, select: str
):
    choice = ChoiceSettings(select=select, keys=SubgroupConfig() if select == "s3" else None)
    whole = drawn(fixed_prior, artifacts, select, classes_per_batch=1)
    expected = build_increment(whole, [0, 1, 2], choose(choice, whole))
    paths = [tmp_path / f"{number}.safetensors" for number in range(2)]
    for path, labels in zip(paths, ([0, 1], [2]), strict=True):
        part = drawn(fixed_prior, artifacts, select, classes=labels, classes_per_batch=1)
        save_tensors(path, part, {"labels": labels})
    found, _ = select_shards(paths, STORED, choice)
    for name, tensor in expected.items():
        assert torch.equal(found[name].nan_to_num(7.0), tensor.nan_to_num(7.0)), name


def test_an_interrupted_draw_resumes_with_all_that_is_measured(
    fixed_prior: Prior, artifacts: Artifacts, batched, tmp_path: Path, interrupt_after
):
    spec = dataclasses.replace(SPEC, select="s3", classes_per_batch=1)
    small = batched(fixed_prior, 4)
    expected = draw(small, artifacts, spec, NOWHERE)[0]
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        draw(small, artifacts, spec, Checkpoint(tmp_path, 0))
    found = draw(small, artifacts, spec, Checkpoint(tmp_path, 0))[0]
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name].nan_to_num(7.0), tensor.nan_to_num(7.0)), name


def methods_of(
    folder: Path,  # noqa: F811
    name: str,
    keys: dict | None = None,
) -> MethodConfig:
    run = run_of(name) | {"overrides": {"methods": {name: keys or {}}}}
    return Recipes(folder, run).method("digits", name)


def test_weights_of_the_choice_are_no_reason_to_draw_again(folder: Path):  # noqa: F811
    plain, other = (
        methods_of(folder, "dit_s3", keys) for keys in ({}, {"s3": {"pair_weight": 0.1}})
    )
    assert draw_settings(plain, 1) == draw_settings(other, 1)
    assert choice_settings(plain) != choice_settings(other)
    assert seed_settings(plain) != seed_settings(other), "one job draws and chooses increment 0"


@pytest.mark.parametrize("name", ["lgd", "dit", "igd", "lgd_real"])
def test_settings_of_other_methods_do_not_speak_of_choices(folder: Path, name: str):  # noqa: F811
    method = methods_of(folder, name)
    assert choice_settings(method) is None
    assert "select" not in draw_settings(method, 1).keys.model_dump()
    assert "choice" not in seed_settings(method).model_dump()


@pytest.mark.parametrize(
    ("name", "keys", "part"),
    [
        ("dit", {"select": "s3"}, "candidates: found 1, expected at least 2"),
        (
            "igd",
            {"select": "confident", "candidates": 2},
            "select: found confident, which chooses when all candidates are drawn, expected "
            "learnability, since guidance by deviation depends on what is chosen before",
        ),
        ("dit", {"select": "s4"}, "select: found 's4'"),
        ("cgs", {"deviation": {"strength": 0.1}}, "deviation.strength: found 0.1, expected 0"),
    ],
)
def test_choices_that_cannot_be_are_refused(folder: Path, name, keys, part):  # noqa: F811
    assert part in complaint(folder, run_of(name) | {"overrides": {"methods": {name: keys}}})


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.0, 2.0, 1.0], 1),
        ([torch.nan, -2.0, -1.0], 2),
        ([torch.nan, torch.nan, torch.nan], 0),
        ([1.0, 1.0, 0.0], 0),
        ([-torch.inf, -5.0, torch.nan], 1),
    ],
)
def test_the_best_score_is_chosen_and_nan_is_none(scores: list[float], expected: int) -> None:
    assert select(torch.tensor(scores)).item() == expected


def test_take_picks_the_chosen_of_every_class_and_position() -> None:
    candidates = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    chosen = torch.tensor([[0, 1, 2], [3, 2, 1]])
    taken = take(candidates, chosen)
    assert taken.shape == (2, 3, 5)
    assert all(
        torch.equal(taken[c, n], candidates[c, n, chosen[c, n]]) for c in range(2) for n in range(3)
    )
