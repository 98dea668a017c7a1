"""The measures of a prior, on planted answers."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from conftest import SEEN
from torch import nn

from lgd_core.analysis.fidelity import check_counts, sample_quality
from lgd_core.analysis.prior_quality import draw_samples, real_samples, reconstruction_psnr
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.method import SamplerConfig
from lgd_core.diffusion.priors import Prior
from lgd_core.networks.features import penultimate
from lgd_core.networks.training import Images

SAMPLER = SamplerConfig(steps=3, cfg_scale=1.0, cfg_channels=None, classes_per_batch=None)


def test_features_are_what_the_last_linear_layer_reads(bright: Images, learner: nn.Module) -> None:
    features, logits = penultimate(learner, bright, batch=7)
    last = [module for module in learner.modules() if isinstance(module, nn.Linear)][-1]
    assert len(features) == len(bright.labels)
    torch.testing.assert_close(last(features), logits)


def test_psnr_counts_the_error_over_all_pixels(
    fixed_prior: Prior, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.full((5, 3, 16, 16), 100, dtype=torch.uint8)
    off = torch.where(torch.arange(16) % 2 == 0, 110, 100).to(torch.uint8).expand_as(images)
    monkeypatch.setattr(Prior, "decode_images", lambda *_: off)
    found = reconstruction_psnr(fixed_prior, images)
    mean_square = (10 / 255) ** 2 / 2
    assert found == pytest.approx(-10 * torch.tensor(mean_square).log10().item(), rel=1e-5)


def test_samples_are_drawn_class_by_class(batched: Callable, fixed_prior: Prior) -> None:
    few, more = (
        draw_samples(batched(fixed_prior, largest), SEEN, [], SAMPLER, 2, Checkpoint(None))
        for largest in (2, 64)
    )
    assert few["labels"].tolist() == [0, 0, 1, 1, 2, 2]
    assert few["images"].shape == (6, 3, 16, 16)
    assert few["images"].dtype == torch.uint8
    difference = few["images"].int() - more["images"].int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize(("counts", "each"), [([120, 101, 130], 100), ([120, 7, 130], 7)])
def test_real_images_are_as_many_of_each_class_as_the_smallest_has(
    counts: list[int], each: int
) -> None:
    known = torch.arange(3).repeat_interleave(torch.tensor(counts))
    images = torch.arange(len(known)).view(-1, 1, 1, 1)
    found, labels = real_samples(images, known, 3)
    assert labels.tolist() == [label for label in range(3) for _ in range(each)]
    assert torch.equal(known[found.flatten()], labels)
    assert len(found.unique()) == 3 * each


def test_too_few_real_images_are_refused() -> None:
    check_counts("prior_quality.json", {"held-out": 6, "training": 6}, "see source")
    with pytest.raises(
        UserError, match=r"y.json: found 5 held-out images, expected at least 6; see source"
    ):
        check_counts("prior_quality.json", {"held-out": 5, "training": 6}, "see source")


def test_a_copy_of_the_real_images_is_perfect_and_noise_is_not(
    bright: Images, learner: nn.Module
) -> None:
    predicted = penultimate(learner, bright)[1].argmax(1)
    real = dataclasses.replace(bright, labels=predicted)
    copy = sample_quality(learner, real, real)
    assert copy["recognised"] == 100
    assert copy["precision"] == copy["recall"] == copy["coverage"] == 1
    assert copy["frechet_distance"] == pytest.approx(0, abs=1e-3)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, real.images.shape, generator=rng, dtype=torch.uint8)
    wrong = dataclasses.replace(real, images=noise, labels=(predicted + 1) % 3)
    bad = sample_quality(learner, wrong, real)
    assert bad["frechet_distance"] > copy["frechet_distance"] + 0.1
    wrongly_labelled = dataclasses.replace(real, labels=(predicted + 1) % 3)
    assert sample_quality(learner, wrongly_labelled, real)["recognised"] == 0
