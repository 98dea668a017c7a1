"""Priors on disk and in memory."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lgd_core.base.errors import UserError
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.base.seeding import generator
from lgd_core.diffusion.priors import Prior, load_prior, to_uint8

CPU = torch.device("cpu")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_sizes_and_null_class_come_from_the_configs(prior: Prior) -> None:
    assert prior.latent_shape == (4, 8, 8)
    assert prior.classes == 3
    assert prior.device == CPU
    assert prior.transformer.transformer_blocks[0].norm1.emb.class_embedder.num_classes == 3


def test_learned_variance_is_read_from_the_config(fixed_prior: Prior, learned_prior: Prior) -> None:
    assert not fixed_prior.learned_sigma
    assert learned_prior.learned_sigma
    assert fixed_prior.scheduler(5).config.variance_type == "fixed_small"
    assert learned_prior.scheduler(5).config.variance_type == "learned_range"


def test_steps_are_spread_over_both_ends_and_nothing_is_clipped(prior: Prior) -> None:
    scheduler = prior.scheduler(5)
    assert scheduler.timesteps.tolist() == [999, 749, 500, 250, 0]
    assert not scheduler.config.clip_sample
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(4.0358e-5, rel=1e-3)


def test_scaling_factor_of_the_config_is_applied(fixed_prior: Prior, broken_folder: Path) -> None:
    edit(broken_folder / "vae" / "config.json", scaling_factor=0.25)
    other = load_prior(str(broken_folder), CPU)
    images = torch.randint(0, 256, (2, 3, 16, 16), generator=generator("images")).to(torch.uint8)
    latents = fixed_prior.encode(images)
    assert torch.allclose(other.encode(images), latents / 2, atol=1e-6)
    assert torch.allclose(other.decode(latents / 2), fixed_prior.decode(latents), atol=1e-5)


def test_weights_are_half_on_disk_and_single_in_memory(
    fixed_folder: Path, fixed_prior: Prior
) -> None:
    (path,) = (fixed_folder / "transformer").glob("*.safetensors")
    with safe_open(path, framework="pt") as stream:
        stored = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    loaded = fixed_prior.transformer.state_dict()
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    for model in (fixed_prior.transformer, fixed_prior.autoencoder):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(module.training for module in model.modules())
    assert all(torch.equal(stored[name].float(), loaded[name]) for name in stored)


def test_encoding_is_the_scaled_posterior_mean_for_any_batch(fixed_prior: Prior) -> None:
    images = torch.randint(0, 256, (5, 3, 16, 16), generator=generator("images")).to(torch.uint8)
    with torch.no_grad():
        expected = fixed_prior.autoencoder.encode(images / 127.5 - 1).latent_dist.mode() * 0.5
    for largest in (2, 64):
        prior = dataclasses.replace(fixed_prior, micro_batches=MicroBatches(largest))
        assert torch.allclose(prior.encode(images), expected, atol=1e-5)


def test_decoded_images_are_stored_as_clamped_and_rounded(fixed_prior: Prior) -> None:
    latents = 3 * torch.randn(5, 4, 8, 8, generator=generator("latents"))
    with torch.no_grad():
        decoded = fixed_prior.decode(latents)
    images = fixed_prior.decode_images(latents)
    assert images.dtype == torch.uint8
    assert (images / 255 - decoded.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-5


def test_eight_bits_are_clamped_and_rounded_to_the_nearest() -> None:
    values = torch.tensor([-0.5, 0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255, 255]


def assert_refused(folder: Path, component: str) -> None:
    with pytest.raises(UserError) as error:
        load_prior(str(folder), CPU)
    assert str(folder / component) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("component", ["transformer", "vae", "scheduler"])
def test_a_missing_component_is_named(broken_folder: Path, component: str) -> None:
    shutil.rmtree(broken_folder / component)
    assert_refused(broken_folder, component)


@pytest.mark.parametrize("component", ["transformer", "vae"])
@pytest.mark.parametrize("keep", [0, 4, 1000])
def test_truncated_weights_are_named(broken_folder: Path, component: str, keep: int) -> None:
    (path,) = (broken_folder / component).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    assert_refused(broken_folder, component)


@pytest.mark.parametrize(
    ("component", "changes"),
    [
        ("transformer", {"attention_head_dim": 16}),
        ("vae", {"block_out_channels": [16, 32]}),
        ("transformer", {"num_layers": 3}),
    ],
)
def test_weights_that_do_not_fill_the_network_are_named(
    broken_folder: Path, component: str, changes: dict
) -> None:
    edit(broken_folder / component / "config.json", **changes)
    assert_refused(broken_folder, component)


@pytest.mark.parametrize(
    ("component", "file"),
    [
        ("transformer", "config.json"),
        ("vae", "config.json"),
        ("scheduler", "scheduler_config.json"),
    ],
)
def test_broken_configs_are_named(broken_folder: Path, component: str, file: str) -> None:
    (broken_folder / component / file).write_text("{")
    assert_refused(broken_folder, component)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "")


def test_half_precision_is_near_single_and_returns_single(fixed_folder: Path) -> None:
    single = load_prior(str(fixed_folder), CPU)
    half = load_prior(str(fixed_folder), CPU, precision="bf16")
    assert (single.half, half.half) == (False, True), "auto is single precision on a CPU"
    latents = torch.randn(3, 4, 8, 8, generator=generator("latents"))
    t, labels = torch.full((3,), 500), torch.arange(3)
    with torch.no_grad():
        for exact, near in (
            (single.predict(latents, t, labels), half.predict(latents, t, labels)),
            (single.decode(latents), half.decode(latents)),
        ):
            assert near.dtype == torch.float32
            assert not torch.equal(near, exact)
            assert torch.allclose(near, exact, atol=0.05 * exact.abs().max())


def test_recomputed_activations_give_the_same_gradient(fixed_folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        prior = load_prior(str(fixed_folder), CPU, gradient_checkpointing=recompute)
        latents = torch.randn(2, 4, 8, 8, generator=generator("latents")).requires_grad_(True)
        noise = prior.predict(latents, torch.full((2,), 500), torch.arange(2))
        (prior.decode(latents - noise).square().sum()).backward()
        gradients.append(latents.grad)
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)
    assert prior.transformer.is_gradient_checkpointing
    assert prior.autoencoder.decoder.gradient_checkpointing


def test_another_autoencoder_replaces_the_pipeline_s_own(
    fixed_folder: Path, broken_folder: Path
) -> None:
    vae = broken_folder / "vae"
    edit(vae / "config.json", scaling_factor=0.25)
    assert load_prior(str(fixed_folder), CPU).autoencoder.config.scaling_factor == 0.5
    other = load_prior(str(fixed_folder), CPU, vae=str(vae))
    assert other.autoencoder.config.scaling_factor == 0.25


class Trap:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_weights_in_torch_s_own_format_are_read_and_nothing_in_them_is_executed(
    broken_folder: Path, fixed_prior: Prior, tmp_path: Path
) -> None:
    path = broken_folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    path.unlink()
    torch.save(weights, path.with_suffix(".bin"))
    found = load_prior(str(broken_folder), CPU).autoencoder.state_dict()
    expected = fixed_prior.autoencoder.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    torch.save(weights | {"trap": Trap(tmp_path / "marker")}, path.with_suffix(".bin"))
    assert_refused(broken_folder, "vae")
    assert not (tmp_path / "marker").exists()


def test_more_steps_than_the_prior_was_trained_on_are_refused(fixed_prior: Prior) -> None:
    config = fixed_prior.scheduler_config | {"num_train_timesteps": 20}
    short = dataclasses.replace(fixed_prior, scheduler_config=config)
    assert len(short.scheduler(20).timesteps) == 20
    with pytest.raises(
        UserError, match=r"sampler.steps: found 21, expected at most the prior's 20"
    ):
        short.scheduler(21)
