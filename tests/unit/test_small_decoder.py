"""A small decoder of a prior's latents: trained, stored, and in the gradients of guidance only."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from conftest import CPU, SIZE
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.dataset import SmallDecoderTrainConfig
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.config.prior_files import check_small_decoder
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling
from lgd_core.diffusion.small_decoder import (
    SmallDecoder,
    build_small_decoder,
    load_small_decoder,
    save_small_decoder,
    train_small_decoder,
)
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.deviation import DeviationConfig
from lgd_core.distill.spec import IncrementSpec

RECIPE = SmallDecoderTrainConfig(width=8, blocks=[1, 0], steps=60, batch=16, lr=1.0e-2)


@pytest.fixture
def images() -> Tensor:
    shape = (32, 3, SIZE, SIZE)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(3)).to(torch.uint8)


@pytest.fixture
def small(fixed_prior: Prior) -> SmallDecoder:
    torch.manual_seed(7)
    model = build_small_decoder(RECIPE, fixed_prior.autoencoder)
    return SmallDecoder(model.eval().requires_grad_(False))


def error_of(model: nn.Module, prior: Prior) -> float:
    latents = torch.randn(16, *prior.latent_shape, generator=torch.Generator().manual_seed(5)) / 4
    with torch.no_grad():
        return float((SmallDecoder(model)(latents) - prior.decode(latents)).square().mean())


def test_training_brings_it_to_what_the_autoencoder_decodes(
    fixed_prior: Prior, images: Tensor
) -> None:
    def trained(steps: int) -> nn.Module:
        recipe = RECIPE.model_copy(update={"steps": steps})
        nowhere = Checkpoint(None)
        return train_small_decoder(fixed_prior.autoencoder, images, recipe, nowhere, CPU)[0]

    assert error_of(trained(60), fixed_prior) < 0.3 * error_of(trained(1), fixed_prior)


def test_it_is_loaded_as_it_was_saved(small: SmallDecoder, tmp_path: Path) -> None:
    save_small_decoder(tmp_path / "small", small.model)
    loaded = load_small_decoder(str(tmp_path / "small"), CPU)
    latents = torch.randn(2, 4, 8, 8)
    decoded = small.model.float().decode(latents).sample / 2 + 0.5
    torch.testing.assert_close(loaded(latents), decoded)
    assert not any(weights.requires_grad for weights in loaded.model.parameters())


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none: cannot be loaded"):
        load_small_decoder(str(tmp_path / "none"), CPU)


def increment(**guidance: object) -> IncrementSpec:
    return IncrementSpec(
        classes=[0, 1, 2],
        prior_labels=[0, 1, 2],
        positions=1,
        candidates=2,
        sampling=Sampling(steps=4, cfg_scale=1.5, cfg_channels=None, window=(1, 2)),
        key=(0, 1),
        classes_per_batch=None,
        guidance=guidance,
    )


def test_gradients_go_through_it_and_images_do_not(
    fixed_prior: Prior, scorer: Scorer, small: SmallDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = Prior.decode
    monkeypatch.setattr(
        Prior, "decode", lambda prior, x: decoded.append(len(x)) or decode(prior, x)
    )
    spec = increment(learnability=LearnabilityConfig(strength=0.1, norm="relative"))
    own = draw(fixed_prior, Artifacts(scorer), spec, Checkpoint(None))[0]
    assert decoded == [6, 6, 6], "two guided steps, and the images"
    decoded.clear()
    artifacts = Artifacts(scorer, small_decoder=small)
    found = draw(fixed_prior, artifacts, spec, Checkpoint(None))[0]
    assert decoded == [6], "the images alone"
    assert not torch.equal(found["latents"], own["latents"])
    latents = found["latents"].flatten(0, 2)
    assert torch.equal(found["images"].flatten(0, 2), fixed_prior.decode_images(latents))


def test_the_autoencoder_s_own_decoder_in_its_place_changes_nothing(
    fixed_prior: Prior, scorer: Scorer
) -> None:
    spec = increment(
        learnability=LearnabilityConfig(strength=0.1, norm="relative"),
        deviation=DeviationConfig(strength=0.05, norm="relative"),
    )
    own = Artifacts(scorer, memory=torch.randn(3, 2, *fixed_prior.latent_shape))
    same = dataclasses.replace(own, small_decoder=fixed_prior.decode)
    drawn = [draw(fixed_prior, each, spec, Checkpoint(None))[0] for each in (own, same)]
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "AutoencoderKL"}, "_class_name: found 'AutoencoderKL', expected Auto"),
        ({"out_channels": 1}, "out_channels: found 1, expected 3, the image.channels"),
        ({"latent_channels": 8}, "latent_channels: found 8, expected 4, the latent_channels of"),
        (
            {"decoder_block_out_channels": [8]},
            r"decoder_block_out_channels: found \[8\], expected 2 widths, as",
        ),
    ],
)
def test_one_that_does_not_fit_is_refused(
    fixed_prior: Prior, small: SmallDecoder, tmp_path: Path, changes: dict, message: str
) -> None:
    save_small_decoder(tmp_path / "small", small.model)
    fixed_prior.autoencoder.save_pretrained(tmp_path / "vae")
    check_small_decoder(tmp_path / "small", 3, tmp_path / "vae")
    config = tmp_path / "small" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(UserError, match=message):
        check_small_decoder(tmp_path / "small", 3, tmp_path / "vae")


def test_one_that_was_cut_off_is_refused(small: SmallDecoder, tmp_path: Path) -> None:
    save_small_decoder(tmp_path / "small", small.model)
    weights = tmp_path / "small" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"safetensors: found a broken file .*expected whole"):
        check_small_decoder(tmp_path / "small", 3)
