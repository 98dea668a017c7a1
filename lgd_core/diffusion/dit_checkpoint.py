"""Conversion of the DiT authors' checkpoints to the folder format of diffusers' ``DiTPipeline``.

``python -m lgd_core.diffusion.dit_checkpoint FILE FOLDER --vae stabilityai/sd-vae-ft-mse``

Reads the checkpoints that Peebles and Xie ("Scalable diffusion models with transformers") published
and those that their training writes, also of parallel or compiled networks, and those of networks
fine-tuned with the extra scale factors of Minimax diffusion (Gu et al., "Efficient dataset
distillation via minimax diffusion").
"""

import argparse
import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import PatchEmbed
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from torch import Tensor

from lgd_core.base.bombs import load_pt
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic
from lgd_core.diffusion.prior_training import save_prior
from lgd_core.diffusion.priors import FREQUENCY_SHIFT, load_component, set_time_frequencies

# Heads by width, for DiT-S, B, L and XL: the only size not to be seen in the tensors' shapes.
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}

# Layer of diffusers -> layer of the checkpoint; {} is the number of the block. In diffusers each
# block has its own copy of the embedders of time and label. In the checkpoint queries, keys and
# values are in one layer, in this order.
QUERY_KEY_VALUE = ("attn1.to_q", "attn1.to_k", "attn1.to_v")
SOURCES = {
    "pos_embed.proj": "x_embedder.proj",
    "norm1.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "norm1.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "norm1.emb.class_embedder.embedding_table": "y_embedder.embedding_table",
    "norm1.linear": "blocks.{}.adaLN_modulation.1",
    **dict.fromkeys(QUERY_KEY_VALUE, "blocks.{}.attn.qkv"),
    "attn1.to_out.0": "blocks.{}.attn.proj",
    "ff.net.0.proj": "blocks.{}.mlp.fc1",
    "ff.net.2": "blocks.{}.mlp.fc2",
    "proj_out_1": "final_layer.adaLN_modulation.1",
    "proj_out_2": "final_layer.linear",
}

# Minimax's factors, one per output channel of a layer; they are multiplied into its weights.
SCALES = {
    "blocks.{}.attn.qkv": ("blocks.{}.attn.gamma1",),
    "blocks.{}.attn.proj": ("blocks.{}.attn.gamma2", "blocks.{}.gamma1"),
    "blocks.{}.mlp.fc2": ("blocks.{}.gamma2",),
}

# Keys under which training saves tensors; the weight average comes before the last weights.
HOLDERS = ("ema", "state_dict", "model")
# Prefixes that torch adds to the names in a parallel or compiled network.
PREFIXES = ("module.", "_orig_mod.")
EXPECTED = "tensors by name, alone or under " + ", ".join(f"'{key}'" for key in HOLDERS)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file by name, and the names of those already used.

    Errors are UserErrors that name the file and the tensor.
    """

    path: str
    tensors: dict[str, Tensor]
    used: set[str] = field(default_factory=set)

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor, which must exist and have this number of dimensions."""
        found = tuple(self._get(name).shape)
        if len(found) != dimensions or 0 in found:
            raise self.error(f"'{name}' of shape {found}", f"{dimensions} dimensions above 0")
        return found

    def use(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor, which must exist, be floating point and have this shape."""
        tensor = self._get(name)
        if tensor.shape != shape or not tensor.is_floating_point():
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise self.error(f"'{name}' as {found}", f"floating point of shape {tuple(shape)}")
        self.used.add(name)
        return tensor

    def refuse_unused(self) -> None:
        """Raise UserError if any tensor has not been used."""
        unused = [name for name in self.tensors if name not in self.used]
        if unused:
            raise self.error(f"an unknown tensor {unused[0]!r}", "only tensors of a DiT")

    def error(self, found: str, expected: str) -> UserError:
        """Return an error about this file, to be raised."""
        return UserError(f"{self.path}: found {found}, expected {expected}")

    def _get(self, name: str) -> Tensor:
        if name in self.tensors:
            return self.tensors[name]
        longer = next((n for n in self.tensors if n.endswith(f".{name}")), None)
        if longer is None:
            raise self.error(f"no tensor '{name}'", "all tensors of a DiT")
        prefixes = " or ".join(f"'{prefix}'" for prefix in PREFIXES)
        raise self.error(f"'{longer}'", f"'{name}', or all names after {prefixes}")


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read the tensors of a published or a training checkpoint: the weight average, if it has one.

    Nothing in the file is executed. Raises UserError if it is missing, damaged or something else.
    """
    try:
        # Training keeps its command line in a Namespace, which has attributes but no behaviour.
        with torch.serialization.safe_globals([argparse.Namespace]):
            state = load_pt(path)
    except UserError:
        raise
    except Exception as error:  # other files can fail anywhere in the parser
        raise UserError(f"{path}: found {_unreadable(error)}, expected {EXPECTED}") from None
    state = _held(state)
    if not isinstance(state, dict):
        raise UserError(f"{path}: found {type(state).__name__}, expected {EXPECTED}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            found = f"{name!r} as {type(value).__name__}"
            raise UserError(f"{path}: found {found}, expected {EXPECTED}")
    tensors = {name: tensor.detach() for name, tensor in state.items()}
    return Checkpoint(str(path), _without_prefixes(tensors))


def _held(state: object) -> object:
    """Return the part of a checkpoint under the keys of HOLDERS; without these keys, all of it."""
    for key in HOLDERS:
        if isinstance(state, dict) and key in state:
            state = state[key]
    return state


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by their names without the prefixes of parallel or compiled networks."""
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            bare = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            return _without_prefixes(bare)
    return tensors


def _unreadable(error: Exception) -> str:
    """Return in words what is wrong with a file, without torch's advice to execute it."""
    if isinstance(error, OSError) and error.filename:
        return f"nothing to read ({error.strerror})"
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    return f"a pickle that uses {forbidden[1]}" if forbidden else "a damaged file or another kind"


def infer_config(checkpoint: Checkpoint, heads: int | None = None) -> dict[str, Any]:
    """Return the configuration of a ``DiTTransformer2DModel``, inferred from shapes.

    ``heads`` is needed if the width is not that of DiT-S, B, L or XL. The last row of the label
    table is taken as the null class.
    """
    width, channels, patch, _ = checkpoint.shape("x_embedder.proj.weight", 4)
    _, tokens, _ = checkpoint.shape("pos_embed", 3)
    rows, _ = checkpoint.shape("y_embedder.embedding_table.weight", 2)
    (outputs,) = checkpoint.shape("final_layer.linear.bias", 1)
    blocks = {name.split(".")[1] for name in checkpoint.tensors if name.startswith("blocks.")}
    heads = HEADS.get(width) if heads is None else heads
    if heads is None:
        raise checkpoint.error(f"width {width}", f"one of {[*HEADS]}, or the number of heads")
    if heads < 1 or width % heads or width % 4:
        raise checkpoint.error(f"width {width}", f"a multiple of 4, and of {heads} heads")
    if math.isqrt(tokens) ** 2 != tokens:
        raise checkpoint.error(f"{tokens} tokens in 'pos_embed'", "a square number")
    if outputs not in (channels * patch**2, 2 * channels * patch**2):
        expected = f"{channels * patch**2}, or twice as many with learned variance"
        raise checkpoint.error(f"{outputs} outputs of 'final_layer.linear'", expected)
    return {
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "in_channels": channels,
        "out_channels": outputs // patch**2,
        "num_layers": max(1, len(blocks)),
        "sample_size": math.isqrt(tokens) * patch,
        "patch_size": patch,
        "num_embeds_ada_norm": rows - 1,
        "norm_eps": 1e-6,  # for the second norm of a block; diffusers' default is 1e-5
    }


def read_transformer(path: str | Path, heads: int | None = None) -> DiTTransformer2DModel:
    """Return a network with the same outputs and precision as the one in a checkpoint.

    Every tensor of the file must be used and every parameter of the network set. Raises UserError
    for the first tensor that is missing, unknown or of a wrong shape. Also raises UserError if the
    position embedding is not the fixed sines and cosines, the only one that diffusers supports.
    """
    checkpoint = read_checkpoint(path)
    config = infer_config(checkpoint, heads)
    with torch.device("meta"):  # no initial values, since all are overwritten
        model = DiTTransformer2DModel(**config)
    positions = _positions(checkpoint, config)
    model.load_state_dict(_translate(checkpoint, model), assign=True)
    checkpoint.refuse_unused()
    model.pos_embed.register_buffer("pos_embed", positions, persistent=False)
    model.register_to_config(**{FREQUENCY_SHIFT: 0})
    set_time_frequencies(model)
    return model.eval().requires_grad_(False)


def _positions(checkpoint: Checkpoint, config: dict[str, Any]) -> Tensor:
    """Return diffusers' position embedding, after comparing it with the checkpoint's."""
    size, patch = config["sample_size"], config["patch_size"]
    width = config["num_attention_heads"] * config["attention_head_dim"]
    embedding = PatchEmbed(size, size, patch, config["in_channels"], width)
    expected = embedding.get_buffer("pos_embed")
    found = checkpoint.use("pos_embed", expected.shape)
    tolerance = max(1e-5, torch.finfo(found.dtype).eps)
    if not torch.allclose(found.float(), expected, rtol=0, atol=tolerance):
        raise checkpoint.error("other values in 'pos_embed'", "fixed sines and cosines")
    return expected


def _translate(checkpoint: Checkpoint, model: DiTTransformer2DModel) -> dict[str, Tensor]:
    """Return a state for the model; its tensors share no memory, as safetensors requires."""
    weights = {}
    for name, parameter in model.state_dict().items():
        pattern = r"(?:transformer_blocks\.(\d+)\.)?(.+)\.(weight|bias)"
        match = re.fullmatch(pattern, name)
        block, layer, kind = match.groups() if match else (None, name, "")
        if layer not in SOURCES:
            raise checkpoint.error(f"no tensor for {name} of diffusers", "one for every parameter")
        part, parts = (QUERY_KEY_VALUE.index(layer), 3) if layer in QUERY_KEY_VALUE else (0, 1)
        rows, *columns = parameter.shape
        shape = (parts * rows, *columns)
        tensor = checkpoint.use(f"{SOURCES[layer].format(block)}.{kind}", shape)
        for scale in (scale.format(block) for scale in SCALES.get(SOURCES[layer], ())):
            if scale in checkpoint.tensors:
                factor = checkpoint.use(scale, shape[:1])
                tensor = tensor * factor.view(-1, *[1] * len(columns))
        weights[name] = tensor.chunk(parts)[part].clone(memory_format=torch.contiguous_format)
    return weights


def convert(source_pt: str, folder: str, vae: str, heads: int | None = None) -> None:
    """Write a checkpoint as a new ``DiTPipeline`` folder, in the checkpoint's precision.

    ``vae`` is the folder or hub name of the ``AutoencoderKL`` whose latents it was trained on;
    ``heads`` as for ``infer_config``. Raises UserError, and writes nothing, if either cannot be
    used, if they do not fit each other, or if ``folder`` exists.
    """
    if Path(folder).exists():
        raise UserError(f"{folder}: exists, expected the name of a new folder")
    transformer = read_transformer(source_pt, heads)
    autoencoder = load_component(AutoencoderKL, vae, None, torch.device("cpu"))
    latent, channels = autoencoder.config["latent_channels"], transformer.config["in_channels"]
    if latent != channels:
        raise UserError(f"{vae}: found {latent} latent channels, expected {channels} as the DiT's")
    with atomic(folder) as temporary:
        save_prior(str(temporary), transformer, autoencoder, dtype=None)


def main() -> None:
    """Convert from the command line; a UserError ends it with one line and status 1."""
    parser = argparse.ArgumentParser(
        prog="lgd_core.diffusion.dit_checkpoint", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("checkpoint", help="the .pt file")
    parser.add_argument("folder", help="the folder to write")
    parser.add_argument("--vae", required=True, help="folder or hub name of the autoencoder")
    parser.add_argument("--heads", type=int, help="attention heads, for widths of one's own")
    options = parser.parse_args()
    try:
        convert(options.checkpoint, options.folder, options.vae, options.heads)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
