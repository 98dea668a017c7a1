"""Increments: what a recipe makes of a task, and sets that were not drawn."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import changed
from PIL import Image
from torch import nn
from trees import record_arrays

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.complete import CompleteMethod
from lgd_core.config.divisions import class_runs
from lgd_core.config.models.dataset import AugmentConfig, ImageConfig, NormaliseConfig
from lgd_core.config.models.method import GuidingConfig, MethodConfig, SamplerConfig
from lgd_core.config.settings import ClassNames, SeenImages
from lgd_core.config.stages import draw_settings
from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.context import SourceContext, prior_labels, unguided_increment
from lgd_core.distill.guidances.influence import InfluenceConfig
from lgd_core.distill.increments import draw_candidates, folder_candidates
from lgd_core.distill.sources.prior import guided_increment

SEEN = SeenImages(
    classes=3,
    image=ImageConfig(size=16, channels=3),
    normalise=NormaliseConfig(mean=[0.5, 0.4, 0.3], std=[0.2, 0.25, 0.3]),
)
NAMES = ClassNames(names=["red", "green", "blue"], wnids=[])
METHOD = CompleteMethod.model_validate(
    {
        "ipc_per_increment": 2,
        "sampler": {"steps": 20, "cfg_scale": 1.5, "cfg_channels": None, "classes_per_batch": 2},
        "window": [3, 15],
        "candidates": 4,
        "learnability": {
            "strength": 0.1,
            "strength_by_increment": [0.2, 0.3],
            "norm": "relative",
            "gradient": "full",
        },
        "deviation": {"strength": 0.05, "norm": "relative", "memory": 7},
        "influence": {"strength": 0.08, "norm": "relative"},
        "modes": {"strength": 0.2},
    }
)


def context(
    prior: Prior | None,
    method: MethodConfig = METHOD,
    key: tuple[int, int] = (5, 0),
    labels: Sequence[int] = (0, 1, 2),
    artifacts: Artifacts | None = None,
    seen: SeenImages = SEEN,
) -> SourceContext:
    """Return what a job of the method hands over for its classes."""
    return SourceContext(
        prior=prior,
        artifacts=artifacts or Artifacts(),
        seen=seen,
        prior_labels=[2, 0, 1],
        settings=draw_settings(method, key[1]),
        ipc=2,
        labels=list(labels),
        key=key,
        checkpoint=Checkpoint(None),
    )


def test_shards_are_runs_that_cover_every_class_once() -> None:
    assert class_runs(10, 3) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("shards", [1, 7, 64, 999, 1000])
def test_shards_of_a_thousand_classes_are_even_and_in_order(shards: int) -> None:
    parts = class_runs(1000, shards)
    assert [label for part in parts for label in part] == list(range(1000))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_prior_s_labels_are_those_of_the_data_set_unless_listed() -> None:
    assert prior_labels([2, 0, 1], 3) == [2, 0, 1]
    assert prior_labels([], 3) == [0, 1, 2]


def test_an_unguided_increment_is_one_candidate_without_guidance() -> None:
    spec = unguided_increment(METHOD.sampler, [1, 2], [2, 0, 1], 2, (5, 0))
    assert (spec.classes, spec.positions, spec.candidates) == ([1, 2], 2, 1)
    assert (spec.key, spec.prior_labels) == ((5, 0), [2, 0, 1])
    assert (spec.sampling.steps, spec.sampling.cfg_scale) == (20, 1.5)
    assert not spec.guidance
    assert not spec.sequential


def test_an_unguided_increment_follows_its_sampler() -> None:
    sampler = SamplerConfig(steps=20, scheduler="ddim", cfg_scale=1.5, cfg_window=[3, 7])
    spec = unguided_increment(sampler, [1, 2], [2, 0, 1], 2, (5, 0))
    assert (spec.sampling.scheduler, spec.sampling.cfg_window) == ("ddim", (3, 7))
    plain = unguided_increment(SamplerConfig(), [1, 2], [2, 0, 1], 2, (5, 0)).sampling
    assert (plain.scheduler, plain.cfg_window, plain.every) == ("ddpm", None, 1)


def test_a_guided_increment_has_its_guided_steps() -> None:
    given = context(None, key=(5, 1), labels=[2, 0]).settings.keys
    settings = given.model_copy(update={"guiding": GuidingConfig(every=4)})
    sampling = guided_increment(replace(context(None), settings=settings)).sampling
    assert list(sampling.guided) == [15, 11, 7, 3]


@pytest.mark.parametrize(("increment", "strength"), [(0, 0.2), (1, 0.2), (2, 0.3), (3, 0.3)])
def test_a_guided_increment_has_its_own_strength(increment: int, strength: float) -> None:
    given = context(None, key=(5, increment), labels=[2, 0])
    spec = guided_increment(replace(given, settings=given.settings.keys))
    strengths = {name: part.strength for name, part in spec.guidance.items()}
    assert strengths == {
        "learnability": strength,
        "deviation": 0.05,
        "influence": 0.08,
        "modes": 0.2,
    }
    assert spec.guidance["influence"] == InfluenceConfig(strength=0.08, norm="relative")
    assert (spec.candidates, spec.classes_per_batch, spec.classes) == (4, 2, [2, 0])
    assert spec.guidance["deviation"].memory == 7
    assert spec.sequential
    assert (spec.sampling.window, spec.sampling.through_transformer) == ((3, 15), True)


def colours(root: Path, folders: dict[str, tuple[int, int, int]], count: int = 3) -> Path:
    """Write ``count`` images of 20 x 32 pixels per folder, each of one colour, numbered in blue."""
    for name, (red, green, blue) in folders.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (20, 32), (red, green, blue + i)).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("names", [("red", "green", "blue"), ("0_r", "1_g", "2_b")])
def test_a_folder_seed_is_labelled_by_name_or_else_in_order(
    tmp_path: Path, fixed_prior: Prior, names: tuple[str, str, str]
) -> None:
    shades = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    root = colours(tmp_path / "seed", dict(zip(names, shades, strict=True)))
    found = folder_candidates(root, NAMES, context(fixed_prior), False)
    assert found["images"].shape == (3, 2, 1, 3, 16, 16)
    corner = found["images"][:, :, 0, :, 0, 0].tolist()
    assert corner == [[[r, g, b + i] for i in range(2)] for r, g, b in shades]
    expected = fixed_prior.encode(found["images"].flatten(0, 2))
    torch.testing.assert_close(found["latents"].flatten(0, 2), expected, rtol=1e-4, atol=1e-5)
    assert found["scores"].shape == (3, 2, 1)
    assert found["scores"].isnan().all()


def test_a_folder_seed_of_imagenet_classes_is_labelled_by_wnid(
    tmp_path: Path, fixed_prior: Prior
) -> None:
    shades = {"n02111889": (200, 0, 0), "n02086240": (0, 200, 0), "n02099601": (0, 0, 200)}
    root = colours(tmp_path / "seed", dict(sorted(shades.items())))
    imagenet = changed(NAMES, wnids=list(shades))
    found = folder_candidates(root, imagenet, context(fixed_prior), False)
    assert found["images"][:, 0, 0, :, 0, 0].tolist() == [list(shade) for shade in shades.values()]
    colours(root, {"n01440764": (0, 0, 0)})
    with pytest.raises(UserError, match="extra: n01440764"):
        folder_candidates(root, imagenet, context(fixed_prior), False)


@pytest.mark.parametrize(
    ("folders", "count", "message"),
    [
        (["red", "green"], 3, "seed: found 2 class folders, expected 3"),
        (["red", "green", "blue"], 1, "red: found 1 images, expected 2"),
    ],
)
def test_a_folder_seed_that_is_too_small_is_one_line(
    tmp_path: Path, fixed_prior: Prior, folders: list[str], count: int, message: str
) -> None:
    root = colours(tmp_path / "seed", dict.fromkeys(folders, (0, 0, 0)), count)
    with pytest.raises(UserError, match=message):
        folder_candidates(root, NAMES, context(fixed_prior), False)


@pytest.mark.parametrize("through", [False, True])
def test_real_images_are_stored_as_they_are_or_as_the_autoencoder_gives_them_back(
    tmp_path: Path, fixed_prior: Prior, through: bool
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
    labels = np.repeat(np.arange(3), 4)
    np.save(tmp_path / "originals_images.npy", images)
    np.save(tmp_path / "originals_labels.npy", labels)
    record_arrays(tmp_path)
    method = changed(METHOD, source="real", through_autoencoder=through)
    given = context(fixed_prior, method, (0, 1), artifacts=Artifacts(real=RealImages(tmp_path)))
    found, trace = draw_candidates(given)
    assert not trace
    latents = found["latents"].flatten(0, 2)
    stored = found["images"].flatten(0, 2)
    if through:
        assert torch.equal(stored, fixed_prior.decode_images(latents))
    else:
        real = {image.tobytes() for image in images}
        assert all(image.numpy().tobytes() in real for image in stored)


TRAINED = changed(SEEN, augment=AugmentConfig(crop_scale=[0.8, 1.0], crop_ratio=[1.0, 1.0]))
CONDENSATION = {
    "factor": 2,
    "steps": 2,
    "lr": 1.0,
    "real_batch": 5,
    "network": {"architecture": "ConvNet-2-w8", "weight_decay": 0.0},
}


@pytest.mark.parametrize("source", ["real", "herding", "kcenter", "condensed"])
def test_a_shard_holds_what_all_classes_together_do(
    tmp_path: Path, fixed_prior: Prior, learner: nn.Module, source: str
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (48, 3, 16, 16), dtype=np.uint8)
    for split in ("train", "originals"):
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", np.repeat(np.arange(3), 16))
    record_arrays(tmp_path)
    method = METHOD.model_validate(
        METHOD.model_dump() | {"source": source, "condensation": CONDENSATION}
    )
    artifacts = Artifacts(real=RealImages(tmp_path), reference=learner)

    def drawn(labels: list[int], increment: int) -> dict[str, torch.Tensor]:
        given = context(fixed_prior, method, (0, increment), labels, artifacts, TRAINED)
        return draw_candidates(given)[0]

    whole, shard = drawn([0, 1, 2], 1), drawn([2], 1)
    assert shard["images"].shape == (1, 2, 1, 3, 16, 16)
    assert (shard["images"].int() - whole["images"][2:].int()).abs().max() <= 1, "but for rounding"
    torch.testing.assert_close(shard["latents"], whole["latents"][2:], rtol=0, atol=0.05)
    assert not torch.equal(drawn([2], 0)["images"], shard["images"]), "increments differ"


def test_a_folder_seed_of_any_format_is_read(tmp_path: Path, fixed_prior: Prior) -> None:
    shades = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}
    root = colours(tmp_path / "seed", shades)
    before = folder_candidates(root, NAMES, context(fixed_prior), False)["images"]
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".bmp"))
        path.unlink()
    assert torch.equal(
        folder_candidates(root, NAMES, context(fixed_prior), False)["images"], before
    )
