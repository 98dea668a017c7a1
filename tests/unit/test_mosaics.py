"""RDED's mosaics against the plain way: crops one by one, their losses, ranks, the grid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import CLASSES, SEEN, SIZE
from test_increments import context
from torch import Tensor, nn
from trees import record_arrays

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.mosaic import MosaicConfig
from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.artifacts import Artifacts
from lgd_core.distill.context import SourceContext
from lgd_core.distill.mosaics import best_crops, crop_losses, grid
from lgd_core.distill.mosaics import mosaics as made_of
from lgd_core.distill.sources.mosaics import MosaicSettings
from lgd_core.networks.augment import random_resized_crop
from lgd_core.networks.classifiers import Preprocess
from lgd_core.networks.training import preprocessor

RECIPE = MosaicConfig(images=12, crops=3, factor=2)
PREPROCESS = preprocessor(SEEN)


def mosaics(job: SourceContext) -> Tensor:
    return made_of(job, job.settings.mosaic)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder with 14 noisy images of each class."""
    rng = np.random.default_rng(0)
    labels = np.arange(CLASSES).repeat(14)
    images = rng.integers(0, 120, (len(labels), 3, SIZE, SIZE)) + 60 * labels[:, None, None, None]
    np.save(tmp_path / "originals_images.npy", images.astype(np.uint8))
    np.save(tmp_path / "originals_labels.npy", labels)
    record_arrays(tmp_path)
    return tmp_path


@pytest.fixture
def of(fixed_prior: Prior, real: Path, reference: nn.Module) -> Callable[..., SourceContext]:
    """Return a function that makes the context of an increment of some classes."""

    def make(increment: int = 0, labels: tuple[int, ...] = (0, 1, 2), **changes) -> SourceContext:
        known = Artifacts(real=RealImages(real), reference=reference)
        found = context(fixed_prior, artifacts=known, key=(5, increment), labels=labels, seen=SEEN)
        settings = MosaicSettings(
            through_autoencoder=False, mosaic=RECIPE.model_copy(update=changes)
        )
        return replace(found, settings=settings, ipc=1)

    return make


def plain_loss(observer: nn.Module, preprocess: Preprocess, view: Tensor, label: int) -> float:
    """Return the loss of one crop (C, H, W): reduced, normalised, pasted into zeros."""
    cell = F.interpolate(view[None], SIZE // 2, mode="bilinear", antialias=True)
    canvas = torch.zeros(1, 3, SIZE, SIZE)
    start = SIZE // 4
    canvas[:, :, start : start + SIZE // 2, start : start + SIZE // 2] = (
        cell - preprocess.mean
    ) / preprocess.std
    return F.cross_entropy(observer(canvas), torch.tensor([label])).item()


def test_the_best_crop_of_every_image_is_kept(reference: nn.Module) -> None:
    images = torch.randint(0, 256, (4, 3, SIZE, SIZE), generator=seeded(), dtype=torch.uint8)
    crops, losses = best_crops(reference, PREPROCESS, images, 1, RECIPE, seeded())
    views = images.repeat_interleave(3, 0).float() / 255
    views = random_resized_crop(views, RECIPE.crop_scale, [1.0, 1.0], seeded())
    for i in range(4):
        own = [plain_loss(reference, PREPROCESS, views[3 * i + j], 1) for j in range(3)]
        best = int(np.argmin(own))
        assert losses[i].item() == pytest.approx(min(own), rel=1e-4)
        cell = F.interpolate(views[3 * i + best][None], SIZE // 2, mode="bilinear", antialias=True)
        assert torch.equal(crops[i], (cell[0] * 255).clamp(0, 255).round().to(torch.uint8))


def test_crops_in_any_number_of_batches_have_the_same_losses(reference: nn.Module) -> None:
    views = torch.rand(10, 3, SIZE, SIZE, generator=seeded())
    whole = crop_losses(reference, PREPROCESS, views, 2, 2)
    parts = [crop_losses(reference, PREPROCESS, part, 2, 2) for part in views.split(3)]
    assert torch.allclose(whole, torch.cat(parts), atol=1e-5)


def test_a_mosaic_is_filled_row_by_row() -> None:
    crops = torch.arange(8).view(8, 1, 1, 1).expand(8, 3, 2, 2)
    found = grid(crops, 2)
    assert found.shape == (2, 3, 4, 4)
    assert found[0, 0].tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2
    assert found[1, 2, 3, 3] == 7


def test_increments_continue_the_ranking_and_share_no_crop(of) -> None:
    first, second = mosaics(of(0)), mosaics(of(1))
    assert first.shape == second.shape == (CLASSES, 3, SIZE, SIZE)
    both = mosaics(replace(of(0), ipc=2)).unflatten(0, (CLASSES, 2))
    assert torch.equal(both[:, 0], first)
    assert torch.equal(both[:, 1], second)


def test_crops_are_ranked_by_their_losses(of, reference: nn.Module) -> None:
    """The cells of later mosaics are classified worse, measured on the cells themselves."""
    found = mosaics(replace(of(0), ipc=3)).unflatten(0, (CLASSES, 3))
    for label in range(CLASSES):
        cells = found[label].unfold(2, SIZE // 2, SIZE // 2).unfold(3, SIZE // 2, SIZE // 2)
        cells = cells.permute(0, 2, 3, 1, 4, 5).flatten(0, 2).float() / 255
        losses = crop_losses(reference, PREPROCESS, cells, label, 2)
        assert (losses.diff() > -0.02).all(), "up to the rounding of pixels"


def test_shards_make_what_one_job_makes(of) -> None:
    whole = mosaics(of(0))
    parts = [mosaics(of(0, labels=labels)) for labels in ((0, 1), (2,))]
    assert torch.equal(whole, torch.cat(parts))


def test_an_interrupted_job_ends_as_an_undisturbed_one(of, tmp_path: Path, interrupt_after) -> None:
    expected = mosaics(of(0))
    job = replace(of(0), checkpoint=Checkpoint(tmp_path / "kept", 0))
    interrupt_after(2)
    with pytest.raises(KeyboardInterrupt):
        mosaics(job)
    assert torch.equal(mosaics(job), expected)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"images": 3}, "mosaic.images: found 3, expected at least 4"),
        ({"factor": 4, "images": 100}, "class 0: found 14 training images, expected at least 16"),
    ],
)
def test_too_few_images_are_one_line(of, changes: dict, text: str) -> None:
    with pytest.raises(UserError, match=text):
        mosaics(of(0, **changes))
