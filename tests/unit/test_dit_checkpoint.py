"""Conversion of original checkpoints, against a network written from the description of DiT."""

import argparse
import math
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import toy_autoencoder
from diffusers import DiTPipeline, DiTTransformer2DModel
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from lgd_core.base.errors import UserError
from lgd_core.base.seeding import generator
from lgd_core.config.recipes import Recipes
from lgd_core.diffusion.dit_checkpoint import (
    SOURCES,
    Checkpoint,
    convert,
    infer_config,
    main,
    read_transformer,
)
from lgd_core.diffusion.priors import Prior, load_prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
WIDTH, HEADS, CLASSES, SIZE, PATCH = 24, 3, 10, 8, 2
State = dict[str, Tensor]


def waves(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return sines and cosines (N, count) of values (N,), wavelengths from 2 pi to 10000 x 2 pi."""
    angles = values.double()[:, None] * 10000.0 ** (-torch.arange(count).double() / count)
    return angles.sin(), angles.cos()


def positions() -> Tensor:
    """Return the embedding (1, T, width) of patches row by row: column first, then row."""
    side = SIZE // PATCH
    index = torch.arange(side**2)
    parts = [*waves(index % side, WIDTH // 4), *waves(index // side, WIDTH // 4)]
    return torch.cat(parts, dim=1).float()[None]


def holder(**modules: nn.Module) -> nn.Module:
    """Return a module that has others as attributes, which is how parameters get dotted names."""
    module = nn.Module()
    for name, child in modules.items():
        module.add_module(name, child)
    return module


def normalised(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Apply layer normalisation without weights of its own, then an adaptive shift and scale."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


class Block(nn.Module):
    """A block with adaLN-Zero; with Minimax's scale factors if asked for."""

    def __init__(self, scaled: bool) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 6 * WIDTH))
        self.attn = holder(qkv=nn.Linear(WIDTH, 3 * WIDTH), proj=nn.Linear(WIDTH, WIDTH))
        self.mlp = holder(fc1=nn.Linear(WIDTH, 4 * WIDTH), fc2=nn.Linear(4 * WIDTH, WIDTH))
        if scaled:
            self.attn.gamma1 = nn.Parameter(torch.ones(3 * WIDTH))
            self.attn.gamma2 = nn.Parameter(torch.ones(WIDTH))
            self.gamma1 = nn.Parameter(torch.ones(WIDTH))
            self.gamma2 = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(condition).chunk(
            6, dim=1
        )
        attended = self.attend(normalised(x, shift, scale))
        x = x + gate[:, None] * attended * getattr(self, "gamma1", 1)
        hidden = F.gelu(self.mlp.fc1(normalised(x, shift_mlp, scale_mlp)), approximate="tanh")
        return x + gate_mlp[:, None] * self.mlp.fc2(hidden) * getattr(self, "gamma2", 1)

    def attend(self, x: Tensor) -> Tensor:
        fused = self.attn.qkv(x) * getattr(self.attn, "gamma1", 1)
        q, k, v = (
            part.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)
            for part in fused.split(WIDTH, dim=-1)
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).softmax(dim=-1)
        heads = (weights @ v).transpose(1, 2).flatten(-2)
        return self.attn.proj(heads) * getattr(self.attn, "gamma2", 1)


class Original(nn.Module):
    """The network of Peebles and Xie, its parameters called as in the published checkpoints."""

    def __init__(self, learned: bool, scaled: int = 0) -> None:
        super().__init__()
        self.outputs = 8 if learned else 4
        self.pos_embed = nn.Parameter(positions(), requires_grad=False)
        self.x_embedder = holder(proj=nn.Conv2d(4, WIDTH, PATCH, stride=PATCH))
        mlp = nn.Sequential(nn.Linear(256, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.t_embedder = holder(mlp=mlp)
        self.y_embedder = holder(embedding_table=nn.Embedding(CLASSES + 1, WIDTH))
        self.blocks = nn.ModuleList(Block(scaled=n < scaled) for n in range(3))
        self.final_layer = holder(
            adaLN_modulation=nn.Sequential(nn.SiLU(), nn.Linear(WIDTH, 2 * WIDTH)),
            linear=nn.Linear(WIDTH, PATCH**2 * self.outputs),
        )
        rng = torch.Generator().manual_seed(3)
        for name, parameter in self.named_parameters():
            if name != "pos_embed":
                noise = torch.randn(parameter.shape, generator=rng)
                parameter.data = noise * parameter[0].numel() ** -0.5 + ("gamma" in name)

    @torch.no_grad()
    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        sines, cosines = waves(t, 128)
        time = self.t_embedder.mlp(torch.cat([cosines, sines], dim=1).float())
        condition = time + self.y_embedder.embedding_table(labels)
        tokens = self.x_embedder.proj(x).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens, condition)
        modulation = self.final_layer.adaLN_modulation(condition).chunk(2, dim=1)
        patches = self.final_layer.linear(normalised(tokens, *modulation))
        image = torch.empty(len(x), self.outputs, SIZE, SIZE)
        for index in range(patches.shape[1]):
            row, column = (PATCH * i for i in divmod(index, SIZE // PATCH))
            patch = patches[:, index].view(-1, PATCH, PATCH, self.outputs)
            image[:, :, row : row + PATCH, column : column + PATCH] = patch.permute(0, 3, 1, 2)
        return image


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, steps from first to last, and labels, with the null class among them."""
    t = torch.tensor([0, 1, 17, 250, 500, 749, 981, 999, 999])
    labels = torch.tensor([0, 1, 2, 5, 9, CLASSES, 4, 3, CLASSES])
    return torch.randn(len(t), 4, SIZE, SIZE, generator=generator("dit")), t, labels


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of an autoencoder of 3 x 16 x 16 images to latents 4 x 8 x 8."""
    folder = tmp_path_factory.mktemp("vae")
    toy_autoencoder().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[object], str]:
    """Return a function that saves an object as a checkpoint and returns its path."""

    def save(value: object) -> str:
        torch.save(value, tmp_path / "dit.pt")
        return str(tmp_path / "dit.pt")

    return save


@pytest.fixture
def state() -> State:
    return Original(learned=True).state_dict()


def assert_same_outputs(transformer: DiTTransformer2DModel, original: Original) -> None:
    expected = original(*inputs())
    with torch.no_grad():
        found = transformer(*inputs()).sample
    assert expected.std() > 0.3
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("learned", [True, False])
def test_a_converted_folder_computes_what_the_original_does(
    learned: bool, saved: Callable, vae: str, tmp_path: Path
) -> None:
    original = Original(learned)
    convert(saved(original.state_dict()), str(tmp_path / "prior"), vae, HEADS)
    prior = load_prior(str(tmp_path / "prior"), CPU)
    assert_same_outputs(prior.transformer, original)
    assert prior.learned_sigma == learned
    assert prior.classes == CLASSES
    assert prior.latent_shape == (4, SIZE, SIZE)
    assert prior.transformer.config.norm_eps == 1e-6


def test_a_converted_folder_samples_and_is_a_pipeline(
    state: State, saved: Callable, vae: str, tmp_path: Path
) -> None:
    convert(saved(state), str(tmp_path / "prior"), vae, HEADS)
    prior = load_prior(str(tmp_path / "prior"), CPU)
    labels, rng = torch.tensor([1, 7]), [generator("a"), generator("b")]
    latents = sample(
        prior, Conditions(labels, labels, labels), rng, Sampling(steps=3), {}, GuidanceTrace()
    )
    assert latents.isfinite().all()
    assert prior.decode(latents).shape == (2, 3, 16, 16)
    scheduler = DiTPipeline.from_pretrained(tmp_path / "prior").scheduler.config
    assert (scheduler.beta_schedule, scheduler.num_train_timesteps) == ("linear", 1000)
    assert (scheduler.beta_start, scheduler.beta_end) == (1e-4, 0.02)
    assert scheduler.variance_type == "learned_range"
    assert scheduler.prediction_type == "epsilon"
    assert not scheduler.clip_sample


def test_the_folder_of_a_fixed_variance_says_so(saved: Callable, vae: str, tmp_path: Path) -> None:
    convert(saved(Original(learned=False).state_dict()), str(tmp_path / "prior"), vae, HEADS)
    prior = load_prior(str(tmp_path / "prior"), CPU)
    assert prior.scheduler_config["variance_type"] == "fixed_small"


def test_a_converted_folder_is_accepted_as_the_prior_of_a_run(
    state: State, saved: Callable, vae: str, tmp_path: Path
) -> None:
    convert(saved(state), str(tmp_path / "prior"), vae, HEADS)
    prior = {"source": str(tmp_path / "prior"), "labels": list(range(9, -1, -1))}
    colours = {"normalise": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    changes = {"prior": prior, "image": {"size": 16, "channels": 3}, **colours}
    config = {"overrides": {"datasets": {"fashionmnist": changes}}}
    Recipes(ROOT / "config", config).check_prior("fashionmnist")


def test_weights_and_autoencoder_keep_their_values(
    state: State, saved: Callable, vae: str, tmp_path: Path
) -> None:
    convert(saved(state), str(tmp_path / "prior"), vae, HEADS)
    prior = load_prior(str(tmp_path / "prior"), CPU)
    block = prior.transformer.transformer_blocks[2]
    assert torch.equal(block.attn1.to_k.bias, state["blocks.2.attn.qkv.bias"].chunk(3)[1])
    assert torch.equal(block.ff.net[2].weight, state["blocks.2.mlp.fc2.weight"])
    expected = toy_autoencoder().state_dict()
    found = prior.autoencoder.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert prior.autoencoder.config.scaling_factor == 0.5


def test_scale_factors_are_folded(saved: Callable) -> None:
    original = Original(learned=True, scaled=2)
    path = saved(original.state_dict())
    assert_same_outputs(read_transformer(path, HEADS), original)
    for scale in ("attn.gamma1", "attn.gamma2", "gamma1", "gamma2"):
        other = original.state_dict()
        other[f"blocks.1.{scale}"] = other[f"blocks.1.{scale}"] * 2
        changed = read_transformer(saved(other), HEADS)(*inputs()).sample
        assert (changed - original(*inputs())).abs().max() > 1e-2, scale


def test_training_checkpoints_give_their_average(saved: Callable) -> None:
    average, last = Original(learned=True), Original(learned=True)
    for parameter in last.parameters():
        parameter.data += 1
    arguments = argparse.Namespace(model="DiT-XL/2", num_classes=1000, lr=1e-4, checkpoint=None)
    optimiser = torch.optim.AdamW(last.parameters())
    path = saved(
        {
            "model": last.state_dict(),
            "ema": average.state_dict(),
            "opt": optimiser.state_dict(),
            "args": arguments,
        }
    )
    assert_same_outputs(read_transformer(path, HEADS), average)


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"ema": {"state_dict": state}, "model": {}},
        lambda state: under("module.", state),
        lambda state: {"model": under("module._orig_mod.", state)},
        lambda state: {"ema": under("_orig_mod.module.", state)},
    ],
)
def test_what_training_wraps_around_a_network_is_taken_off(wrap: Callable, saved: Callable) -> None:
    original = Original(learned=True)
    path = saved(wrap(original.state_dict()))
    assert_same_outputs(read_transformer(path, HEADS), original)


@pytest.mark.parametrize("prefix", ["net.", "module.dit."])
def test_another_prefix_is_named(prefix: str, state: State, saved: Callable) -> None:
    text = complaint(saved(under(prefix, state)))
    found = prefix.removeprefix("module.")
    assert f"found '{found}x_embedder.proj.weight', expected 'x_embedder.proj.weight'" in text
    assert "'module.' or '_orig_mod.'" in text


def test_half_precision_is_kept(state: State, saved: Callable) -> None:
    half = {name: tensor.half() for name, tensor in state.items()}
    transformer = read_transformer(saved(half), HEADS)
    assert {parameter.dtype for parameter in transformer.parameters()} == {torch.float16}
    assert torch.equal(transformer.proj_out_2.weight, half["final_layer.linear.weight"])


@pytest.mark.parametrize(("width", "heads"), [(384, 6), (768, 12), (1024, 16), (1152, 16)])
def test_heads_of_the_published_widths_are_known(width: int, heads: int) -> None:
    shapes = {
        "x_embedder.proj.weight": (width, 4, 4, 4),
        "pos_embed": (1, 64, width),
        "y_embedder.embedding_table.weight": (1001, width),
        "final_layer.linear.bias": (128,),
        "blocks.0.attn.qkv.bias": (3 * width,),
        "blocks.11.attn.qkv.bias": (3 * width,),
    }
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    config = infer_config(Checkpoint("dit.pt", tensors))
    assert (config["num_attention_heads"], config["attention_head_dim"]) == (heads, width // heads)
    assert (config["sample_size"], config["patch_size"], config["num_layers"]) == (32, 4, 2)
    assert (config["in_channels"], config["out_channels"]) == (4, 8)
    assert config["num_embeds_ada_norm"] == 1000


def complaint(path: str, heads: int | None = HEADS) -> str:
    with pytest.raises(UserError) as caught:
        read_transformer(path, heads)
    text = str(caught.value)
    assert text.startswith(f"{path}: "), text
    assert "\n" not in text
    assert len(text) < 300
    return text


def without(name: str) -> Callable[[State], None]:
    return lambda state: state.pop(name)


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], None]:
    return lambda state: state.update({name: change(state[name])})


def added(name: str, shape: tuple[int, ...]) -> Callable[[State], None]:
    return lambda state: state.update({name: torch.ones(shape)})


BROKEN = {
    "no tensor 'blocks.1.mlp.fc2.bias'": without("blocks.1.mlp.fc2.bias"),
    "no tensor 'pos_embed'": without("pos_embed"),
    "no tensor 't_embedder.mlp.0.weight'": without("t_embedder.mlp.0.weight"),
    "no tensor 'blocks.0.adaLN_modulation.1.weight'": lambda state: [
        state.pop(name) for name in list(state) if name.startswith("blocks.")
    ],
    "an unknown tensor 'blocks.0.attn.q_norm.weight'": added("blocks.0.attn.q_norm.weight", (8,)),
    "an unknown tensor 'blocks.0.mlp.gamma1'": added("blocks.0.mlp.gamma1", (WIDTH,)),
    "'blocks.0.gamma1' as torch.float32 of shape (1,)": added("blocks.0.gamma1", (1,)),
    "'blocks.2.mlp.fc1.weight' as torch.float32 of shape (48, 24)": changed(
        "blocks.2.mlp.fc1.weight", lambda x: x[:48]
    ),
    "'blocks.2.mlp.fc1.bias' as torch.int64": changed("blocks.2.mlp.fc1.bias", Tensor.long),
    "'x_embedder.proj.weight' of shape (24, 16)": changed(
        "x_embedder.proj.weight", lambda x: x.flatten(1)
    ),
    "13 tokens in 'pos_embed'": changed("pos_embed", lambda x: x[:, :13]),
    "24 outputs of 'final_layer.linear'": changed("final_layer.linear.bias", lambda x: x[:24]),
    "other values in 'pos_embed'": changed("pos_embed", lambda x: x + 1e-3),
    "other values in 'pos_embed', expected": changed(
        "pos_embed", lambda x: x.unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2)
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_is_missing_unknown_or_misshapen_is_named(
    message: str, state: State, saved: Callable
) -> None:
    BROKEN[message](state)
    assert f"found {message}" in complaint(saved(state))


@pytest.mark.parametrize("heads", [None, 0, 5, 16])
def test_heads_must_be_known_and_divide_the_width(
    heads: int | None, state: State, saved: Callable
) -> None:
    assert "width 24" in complaint(saved(state), heads)


def test_a_parameter_that_no_checkpoint_has_is_named(
    state: State, saved: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(SOURCES, "proj_out_1")
    assert "no tensor for proj_out_1.weight of diffusers" in complaint(saved(state))


class Trap:
    """An object whose pickle makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("wrap", [lambda trap: trap, lambda trap: {"ema": {}, "args": trap}])
def test_a_pickle_is_refused_and_not_executed(
    wrap: Callable, saved: Callable, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    path = saved(wrap(Trap(marker)))
    assert "a pickle that uses posix.mkdir" in complaint(path)
    Path(path).write_bytes(pickle.dumps(wrap(Trap(marker))))
    assert "found a" in complaint(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Trap(marker)))
    assert marker.exists(), "the trap would have worked"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_named(share: float, state: State, saved: Callable) -> None:
    path = Path(saved(state))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "a damaged file or another kind" in complaint(str(path))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([torch.ones(2)], "list"),
        ({"network": {}}, "'network' as dict"),
        ({"model": {}}, "no tensor 'x_embedder.proj.weight'"),
        ({"ema": 1}, "int"),
        ({3: torch.ones(2)}, "3 as Tensor"),
        ({}, "no tensor 'x_embedder.proj.weight'"),
    ],
)
def test_other_contents_are_named(value: object, found: str, saved: Callable) -> None:
    assert f"found {found}" in complaint(saved(value))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02}", bytes(1000)])
def test_another_kind_of_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "dit.pt").write_bytes(content)
    complaint(str(tmp_path / "dit.pt"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nothing to read (No such file or directory)" in complaint(str(tmp_path / "dit.pt"))


def test_an_existing_folder_is_left_alone(
    state: State, saved: Callable, vae: str, tmp_path: Path
) -> None:
    (tmp_path / "prior").mkdir()
    (tmp_path / "prior" / "mine").write_text("precious")
    with pytest.raises(UserError, match="prior: exists, expected"):
        convert(saved(state), str(tmp_path / "prior"), vae, HEADS)
    assert (tmp_path / "prior" / "mine").read_text() == "precious"


def test_an_autoencoder_must_be_there_and_fit(
    state: State, saved: Callable, fixed_folder: Path, tmp_path: Path
) -> None:
    path = saved(state)
    with pytest.raises(UserError, match="nowhere: cannot be loaded"):
        convert(path, str(tmp_path / "prior"), str(tmp_path / "nowhere"), HEADS)
    config = dict(toy_autoencoder().config) | {"latent_channels": 3}
    type(toy_autoencoder()).from_config(config).save_pretrained(tmp_path / "thin")
    with pytest.raises(UserError, match="thin: found 3 latent channels, expected 4"):
        convert(path, str(tmp_path / "prior"), str(tmp_path / "thin"), HEADS)
    assert not (tmp_path / "prior").exists()


def test_a_full_disk_leaves_nothing(
    state: State, saved: Callable, vae: str, tmp_path: Path
) -> None:
    path, before = saved(state), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    try:
        with pytest.raises(UserError, match="prior: cannot be written") as error:
            convert(path, str(tmp_path / "prior"), vae, HEADS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["dit.pt"]


def test_the_command_converts(
    state: State, saved: Callable, vae: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [saved(state), str(tmp_path / "prior"), "--vae", vae, "--heads", str(HEADS)]
    monkeypatch.setattr(sys, "argv", ["dit_checkpoint", *arguments])
    main()
    assert load_prior(str(tmp_path / "prior"), CPU).classes == CLASSES


def test_the_command_says_in_one_line_why_not(state: State, saved: Callable, vae: str) -> None:
    path = saved(state)
    command = [
        sys.executable,
        "-m",
        "lgd_core.diffusion.dit_checkpoint",
        path,
        path + ".d",
        "--vae",
        vae,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {path}: found width 24, expected")
    assert "Traceback" not in done.stderr


def test_other_priors_keep_the_frequencies_of_diffusers(fixed_prior: Prior) -> None:
    embeddings = [m for m in fixed_prior.transformer.modules() if isinstance(m, Timesteps)]
    assert [m.downscale_freq_shift for m in embeddings] == [1, 1]
