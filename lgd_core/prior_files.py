"""The files that make a prior, and whether they fit a data set; free of PyTorch."""

import json
from collections.abc import Sequence
from pathlib import Path

from lgd_core.errors import UserError

AUTOENCODER_FILES = ("config.json", "diffusion_pytorch_model*")
PIPELINE_FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model*",
)
PRIOR_FILES = (*PIPELINE_FILES, *(f"vae/{file}" for file in AUTOENCODER_FILES))


def missing_files(folder: str | Path, patterns: Sequence[str]) -> list[str]:
    """Return the glob patterns that no file in a folder matches."""
    return [p for p in patterns if not any(path.is_file() for path in Path(folder).glob(p))]


def is_hub_name(source: str) -> bool:
    """Whether a prior's source reads ``owner/name`` and is no path into a folder that exists."""
    parts = Path(source).parts
    return len(parts) == 2 and not Path(parts[0]).exists()


def check_prior(prior: dict, classes: Sequence[str], where: str) -> None:
    """Raise UserError unless what a data set's ``prior`` names is whole and fits its classes.

    Hub names and priors still to be trained are checked once they are there, by check_classes.
    """
    source, vae = prior["source"], prior["vae"]
    if vae is not None and not is_hub_name(vae):
        for file in missing_files(vae, AUTOENCODER_FILES):
            raise UserError(
                f"{where}: prior.vae: '{vae}': no {file}, expected a folder of AutoencoderKL"
            )
    if source == "train" or is_hub_name(source):
        return
    for file in missing_files(source, PIPELINE_FILES if vae else PRIOR_FILES):
        raise UserError(
            f"{where}: prior.source: '{source}': no {file}, expected a folder of DiTPipeline"
        )
    check_classes(source, prior["labels"], classes, f"{where}: prior.source: '{source}'")


def check_classes(
    folder: str | Path, labels: Sequence[int], classes: Sequence[str], where: str
) -> None:
    """Raise UserError unless a prior's folder knows the labels of a data set's classes.

    No ``labels`` means that the prior has the data set's classes and no others.
    """
    config = Path(folder) / "transformer" / "config.json"
    try:
        known = json.loads(config.read_text())["num_embeds_ada_norm"]
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{where}: found no num_embeds_ada_norm in {config}, expected the configuration of a "
            "DiTTransformer2DModel"
        ) from error
    if labels and max(labels) >= known:
        raise UserError(
            f"{where}: has {known} classes, but label {max(labels)} is asked for "
            f"({classes[labels.index(max(labels))]}); expected a larger prior"
        )
    if not labels and len(classes) != known:
        raise UserError(
            f"{where}: has {known} classes, but the data set has {len(classes)}; expected equal "
            "numbers or prior.labels"
        )
