"""Training of a prior from scratch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import changed
from diffusers import AutoencoderKL, DiTPipeline, DiTTransformer2DModel
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.models.dataset import AutoencoderConfig, TransformerConfig
from lgd_core.diffusion.prior_training import (
    encode,
    feature_distance,
    optimise,
    save_prior,
    scale_images,
    train_autoencoder,
    train_transformer,
)
from lgd_core.diffusion.priors import load_prior
from lgd_core.networks.training import Images

CPU = torch.device("cpu")
NOWHERE = Checkpoint(None)
AUTOENCODER = AutoencoderConfig(
    widths=[8, 16],
    norm_groups=4,
    latent_channels=4,
    steps=60,
    batch=8,
    lr=5e-3,
    ema_decay=0.9,
    kl_weight=1e-4,
    feature_weight=0.1,
)
TRANSFORMER = TransformerConfig(
    heads=2,
    head_dim=8,
    layers=2,
    patch_size=2,
    steps=100,
    batch=16,
    lr=5e-3,
    ema_decay=0.9,
    label_dropout=0.1,
    min_snr_gamma=5.0,
)


def same(model: nn.Module, other: nn.Module) -> bool:
    others = other.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in model.state_dict().items())


@pytest.fixture
def autoencoding(bright: Images, learner: nn.Module) -> Callable:
    """Return training of the autoencoder, by changes of the recipe and a place to resume."""

    def train(checkpoint: Checkpoint = NOWHERE, **changes: object) -> tuple[AutoencoderKL, float]:
        recipe = changed(AUTOENCODER, **changes)
        return train_autoencoder(bright.images, recipe, 0, learner, checkpoint, CPU)

    return train


@pytest.fixture
def diffusing(bright: Images, fixed_prior: object) -> Callable:
    """Return training of the transformer, by changes of the recipe and a place to resume."""

    def train(
        checkpoint: Checkpoint = NOWHERE, **changes: object
    ) -> tuple[DiTTransformer2DModel, float]:
        parts = (fixed_prior.autoencoder, bright.images, bright.labels, 3)
        return train_transformer(*parts, changed(TRANSFORMER, **changes), 0, checkpoint, CPU)

    return train


def test_the_autoencoder_learns_and_gives_latents_of_unit_variance(
    autoencoding: Callable, bright: Images
) -> None:
    model, loss = autoencoding()
    assert loss < 0.5 * autoencoding(steps=1)[1]
    assert not model.training
    mean, std = encode(model, bright.images, CPU)
    scale = model.config.scaling_factor
    latents = mean + std * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    assert (latents * scale).var().item() == pytest.approx(1, rel=0.1)
    with torch.no_grad():
        error = model.decode(mean).sample - scale_images(bright.images)
    assert error.square().mean() < 0.5 * scale_images(bright.images).var()


@pytest.mark.parametrize("weight", ["kl_weight", "feature_weight"])
def test_every_term_of_the_autoencoder_s_loss_counts(autoencoding: Callable, weight: str) -> None:
    off = {"kl_weight": 0.0, "feature_weight": 0.0, "steps": 1}
    plain, single, double = (autoencoding(**(off | {weight: w}))[1] for w in (0.0, 1.0, 2.0))
    assert single > plain + 1e-4
    assert double - plain == pytest.approx(2 * (single - plain), rel=1e-3)


def test_the_transformer_learns(diffusing: Callable) -> None:
    model, loss = diffusing(steps=200)
    assert loss < 0.8 * diffusing(steps=1)[1]
    assert not model.training


@pytest.mark.parametrize("saves", [1, 7])
@pytest.mark.parametrize("part", ["autoencoding", "diffusing"])
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    part: str,
    saves: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    interrupt_after: Callable,
) -> None:
    train = request.getfixturevalue(part)
    undisturbed, loss = train(steps=12)
    interrupt_after(saves)
    with pytest.raises(KeyboardInterrupt):
        train(Checkpoint(tmp_path, 0), steps=12)
    resumed, found = train(Checkpoint(tmp_path, 0), steps=12)
    assert found == loss
    assert same(resumed, undisturbed)
    assert resumed.config.get("scaling_factor") == undisturbed.config.get("scaling_factor")


def test_a_finished_part_is_not_trained_again(
    autoencoding: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, loss = autoencoding(Checkpoint(tmp_path), steps=3)
    monkeypatch.setattr(torch.optim.AdamW, "step", None)
    again, found = autoencoding(Checkpoint(tmp_path), steps=3)
    assert found == loss
    assert same(first, again)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor, bool]]:
    """Return what the transformer is trained on: times, labels and its mode."""
    seen: list[tuple[Tensor, Tensor, bool]] = []
    forward: Callable = DiTTransformer2DModel.forward

    def spy(self: DiTTransformer2DModel, x: Tensor, t: Tensor, labels: Tensor) -> object:
        seen.append((t, labels, any(module.training for module in self.modules())))
        return forward(self, x, t, labels)

    monkeypatch.setattr(DiTTransformer2DModel, "forward", spy)
    return seen


@pytest.mark.parametrize(("dropout", "low", "high"), [(0.0, 0, 0), (0.5, 64, 96), (1.0, 160, 160)])
def test_a_dropped_label_is_the_null_class(
    diffusing: Callable, asked: list[tuple], dropout: float, low: int, high: int
) -> None:
    diffusing(steps=10, label_dropout=dropout)
    labels = torch.cat([labels for _, labels, _ in asked])
    assert len(labels) == 160
    assert labels.min() >= 0
    assert labels.max() <= 3
    assert low <= (labels == 3).sum() <= high


def test_labels_are_dropped_here_alone_and_all_times_are_trained(
    diffusing: Callable, asked: list[tuple]
) -> None:
    diffusing(steps=30)
    assert not any(training for _, _, training in asked)
    times = torch.cat([t for t, _, _ in asked])
    assert times.min() < 50
    assert times.max() > 949


def test_optimise_returns_the_average_and_the_mean_of_the_last_losses() -> None:
    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.at = nn.Parameter(torch.tensor(1.0))

    model, losses, path = Point(), [], []

    def loss_at(step: int) -> Tensor:
        path.append(model.at.item())
        loss = model.at.square()
        losses.append(loss.item())
        return loss

    recipe = TransformerConfig(steps=300, lr=0.01, ema_decay=0.9)
    average, loss = optimise(model, loss_at, recipe, "point", NOWHERE)
    assert loss == pytest.approx(sum(losses[-3:]) / 3)
    assert losses[-1] < losses[0]
    expected = path[1]
    for step, at in enumerate([*path[2:], model.at.item()], start=1):
        decay = min(0.9, 1 - step ** (-2 / 3)) if step > 1 else 0.0
        expected = decay * expected + (1 - decay) * at
    assert average.at.item() == pytest.approx(expected, rel=1e-4)


def test_feature_distance_is_relative_and_zero_for_equal_images(
    learner: nn.Module, bright: Images
) -> None:
    images = bright.images[:4] / 255
    assert feature_distance(learner, images, images) == 0
    noisy = images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    distances, x, y = [], images, noisy
    for block in list(learner)[:2]:
        x, y = block(x), block(y)
        distances.append(((x - y) ** 2).sum() / (x**2).sum())
    expected = sum(distances) / 2
    assert feature_distance(learner, images, noisy).item() == pytest.approx(expected.item())


def test_a_trained_prior_is_a_folder_that_loads_again(
    autoencoding: Callable, diffusing: Callable, bright: Images, tmp_path: Path
) -> None:
    autoencoder, _ = autoencoding(steps=2)
    transformer, _ = diffusing(steps=2)
    before = {name: tensor.clone() for name, tensor in transformer.state_dict().items()}
    save_prior(str(tmp_path / "prior"), transformer, autoencoder, ["ant", "bee", "cat"])
    weights = list((tmp_path / "prior").rglob("*.safetensors"))
    assert [path.stat().st_mode & 0o444 for path in weights] == [
        path.parent.stat().st_mode & 0o444 for path in weights
    ]
    prior = load_prior(str(tmp_path / "prior"), CPU)
    after = prior.transformer.state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-3) for name in before)
    factor = prior.autoencoder.config.scaling_factor
    assert factor == pytest.approx(autoencoder.config.scaling_factor)


def test_diffusers_pipeline_loads_the_folder_and_knows_the_classes(fixed_folder: Path) -> None:
    pipeline = DiTPipeline.from_pretrained(fixed_folder)
    assert pipeline.transformer.config.num_embeds_ada_norm == 3
    assert pipeline.get_label_ids(["ant", "cat", "bee"]) == [0, 2, 1]
