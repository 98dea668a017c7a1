"""Networks with weights that others have trained, such as torchvision's ResNet-18 of ImageNet."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lgd_core.base.bombs import load_pt
from lgd_core.base.errors import UserError
from lgd_core.config.settings import NetworkSpec
from lgd_core.networks.classifiers import build_network, load_weights

IMAGENET = 1000
# Where training scripts put the weights within a checkpoint.
WITHIN = ("state_dict", "model", "model_state_dict")


def load_pretrained(path: str | Path, spec: NetworkSpec, indices: Sequence[int]) -> nn.Module:
    """Return a network with the weights of a file, for the classes of a data set.

    ``indices`` are the places of the classes among ImageNet's 1000, in label order; empty if they
    are not ImageNet's. Of a network of 1000 classes those rows of the last layer are kept, so that
    the order of the data set's classes does not matter. Any other network must have as many classes
    as the data set, in its order. Raises UserError that names the file if it has other weights.
    """
    weights = read_weights(path)
    network = build_network(spec, "pretrained")
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    found = weights.get(f"{last}.weight")
    count = spec.classes if found is None else len(found)
    if count == IMAGENET and indices:
        for name in (f"{last}.weight", f"{last}.bias"):
            weights[name] = weights[name][torch.tensor(indices)]
    elif count != spec.classes:
        raise UserError(
            f"{path}: found a network of {count} classes, expected {spec.classes} or ImageNet's "
            f"{IMAGENET}"
        )
    load_weights(path, network, weights)
    return network


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file or of a PyTorch checkpoint, without unpickling code.

    Weights may lie within the checkpoint under a usual name, and theirs may begin with ``module.``.
    Raises UserError that names the file if it has no weights.
    """
    try:
        found = load_file(path) if Path(path).suffix == ".safetensors" else load_pt(path)
    except UserError:
        raise
    except Exception as error:  # other files can fail anywhere in the parsers
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: found no weights ({reason}), expected a state_dict") from None
    if isinstance(found, dict):
        found = next((found[key] for key in WITHIN if isinstance(found.get(key), dict)), found)
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(f"{path}: found no mapping of names to tensors, expected a state_dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}
