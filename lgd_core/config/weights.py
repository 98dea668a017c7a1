"""Weights of a reference model that others have trained: which file they are; free of PyTorch."""

import os
from dataclasses import dataclass
from pathlib import Path

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.folders import expand_path
from lgd_core.base.listings import Listing
from lgd_core.config.models.dataset import ReferenceConfig


@dataclass(frozen=True)
class Published:
    """Weights that torchvision publishes: their file in its cache, and what fetches them."""

    file: str
    enum: str


# By architecture and name.
PUBLISHED = {
    ("ResNet-18-bn", "IMAGENET1K_V1"): Published("resnet18-f37072fd.pth", "ResNet18_Weights"),
}
FILES = (".pth", ".pt", ".safetensors")


def torch_cache() -> Path:
    """Return the folder in which PyTorch keeps downloaded weights."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = os.environ.get("TORCH_HOME", str(Path(home) / "torch"))
    return Path(folder).expanduser() / "hub" / "checkpoints"


def list_weights(reference: ReferenceConfig, where: str) -> Listing | None:
    """Return the file of a reference model's weights; None if the model is trained.

    Raises UserError for a name that is neither a file's nor that of published weights of the
    architecture, and MissingFolderError if the file is missing, with the command that fetches it.
    """
    key = f"{where}: reference.weights"
    if reference.weights is None:
        return None
    published = PUBLISHED.get((reference.architecture, reference.weights))
    if published:
        path = torch_cache() / published.file
        fetch = f"from torchvision.models import {published.enum} as W; W.{reference.weights}"
        more = f', expected it there; fetch it by: python -c "{fetch}.get_state_dict()"'
    elif Path(reference.weights).suffix in FILES:
        path = Path(expand_path(reference.weights, key))
        more = ", expected a file of weights"
    else:
        known = [f"{name} ({architecture})" for architecture, name in PUBLISHED]
        raise UserError(
            f"{key}: found '{reference.weights}' for {reference.architecture}, expected a file "
            f"{', '.join(FILES)} or one of {', '.join(known)}"
        )
    if not path.is_file():
        raise MissingFolderError(f"{key}: found no file {path}{more}")
    return Listing({"weights": str(path)})
