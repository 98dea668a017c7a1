"""The files that make a prior: which there must be, and whether they are whole; free of PyTorch."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lgd_core.base.errors import UserError
from lgd_core.config.models.dataset import DatasetConfig, PriorConfig
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.prior_fit import check_blocks, check_fit, check_small_fit, count_levels

WEIGHTS = "diffusion_pytorch_model"
INDEX = f"{WEIGHTS}.safetensors.index.json"
# What diffusers loads, the first that is there. It reads .bin files without executing any of them.
LOADED = (INDEX, f"{WEIGHTS}.safetensors", f"{WEIGHTS}.bin")

PIPELINE_PARTS = ("scheduler", "transformer", "vae")
AUTOENCODER_FILES = ("config.json", f"{WEIGHTS}*")
PIPELINE_FILES = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    f"transformer/{WEIGHTS}*",
)
PRIOR_FILES = (*PIPELINE_FILES, *(f"vae/{file}" for file in AUTOENCODER_FILES))


def missing_files(folder: str | Path, patterns: Sequence[str]) -> list[str]:
    """Return the glob patterns that no file in a folder matches.

    Variants of weights, such as ``diffusion_pytorch_model.fp16.safetensors``, do not count, since
    diffusers loads none unless asked.
    """
    return [p for p in patterns if not any(map(_counts, Path(folder).glob(p)))]


def _counts(path: Path) -> bool:
    return path.is_file() and (path.name in LOADED or not path.name.startswith(WEIGHTS))


def model_files(folder: str | Path) -> list[Path]:
    """Return the configurations and weights of a model: a component, or a pipeline with its parts.

    Other folders in that of a pipeline, such as one with a small decoder, are no part of it.
    """
    folders = (Path(folder), *(Path(folder) / part for part in PIPELINE_PARTS))
    kinds = (".json", ".safetensors", ".bin")
    return sorted(path for each in folders for path in each.glob("*") if path.suffix in kinds)


def is_hub_name(source: str) -> bool:
    """Whether a prior's source reads ``owner/name`` and is no path into a folder that exists."""
    parts = Path(source).parts
    return len(parts) == 2 and not Path(parts[0]).exists()


def check_prior(dataset: DatasetConfig, where: str, samplers: Sequence[SamplerConfig] = ()) -> None:
    """Raise UserError unless what a data set's ``prior`` names is whole and fits the data set.

    ``dataset`` is a recipe, ``samplers`` are those of the run's methods, ``where`` names the
    recipe's file. What comes from the hub, or is still to be trained, is checked once it is there.
    """
    prior = dataset.prior
    source, vae = _local(prior.source), _local(prior.vae)
    if vae is not None:
        _check_files(vae, AUTOENCODER_FILES, f"{where}: prior.vae", "AutoencoderKL")
    if source is not None:
        files = PIPELINE_FILES if prior.vae else PRIOR_FILES
        _check_files(source, files, f"{where}: prior.source", "DiTPipeline")
    own = None if source is None or prior.vae else source / "vae"
    names = dataset.class_names if prior.labels else dataset.class_ids
    check_contents(source, vae or own, dataset.image, names, prior.labels, samplers)


def check_small_source(dataset: DatasetConfig, where: str) -> None:
    """Raise UserError unless a data set's small decoder is whole and fits its prior and images.

    ``where`` names the recipe's file. One from the hub is checked once it is there.
    """
    prior = dataset.prior
    source, vae, small = map(_local, (prior.source, prior.vae, prior.small_decoder.source))
    autoencoder = vae or (None if source is None or prior.vae else source / "vae")
    if small is not None:
        key = f"{where}: prior.small_decoder.source"
        _check_files(small, AUTOENCODER_FILES, key, "AutoencoderTiny")
        check_small_decoder(small, dataset.image.channels, autoencoder)
    levels = _levels(prior, autoencoder)
    if prior.small_decoder.source == "train" and levels is not None:
        check_blocks(prior.small_decoder.train.blocks, levels)


def _levels(prior: PriorConfig, autoencoder: Path | None) -> int | None:
    """Return the number of resolutions of a prior's autoencoder; None where it is not there yet."""
    if autoencoder is not None:
        return count_levels(autoencoder)
    made = prior.source == "train" and prior.vae is None
    return len(prior.train.autoencoder.widths) if made else None


def _local(source: str | None) -> Path | None:
    """Return the folder that a source names; None for the hub's, and for one still to be made."""
    return None if source in (None, "train") or is_hub_name(source) else Path(source)


def _check_files(folder: Path, files: Sequence[str], where: str, kind: str) -> None:
    for pattern in missing_files(folder, files):
        others = [path.name for path in folder.glob(pattern)]
        found = f" but {others[0]}, which is not loaded under this name" if others else ""
        file = pattern.replace("*", ".safetensors")
        raise UserError(f"{where}: '{folder}': no {file}{found}; expected a folder of {kind}")


def check_small_decoder(folder: Path, channels: int, autoencoder: Path | None = None) -> None:
    """Raise UserError unless a small decoder is whole and gives images of so many channels.

    It must also decode the latents of ``autoencoder``, where that is there.
    """
    check_small_fit(folder, channels, autoencoder)
    for path in weight_files(folder):
        check_weights(path)


def check_contents(
    pipeline: Path | None,
    autoencoder: Path | None,
    image: StoredImageConfig,
    classes: Sequence[str],
    labels: Sequence[int],
    samplers: Sequence[SamplerConfig] = (),
) -> None:
    """Raise UserError unless the weights of a prior are whole and its parts fit the data set.

    None stands for a folder that is not there yet: what depends on it is not checked; see
    check_fit.
    """
    check_fit(pipeline, autoencoder, image, classes, labels, samplers)
    transformer = pipeline and pipeline / "transformer"
    for folder in filter(None, (transformer, autoencoder)):
        for path in weight_files(folder):
            check_weights(path)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that diffusers loads a component's weights from: one, or all shards.

    Raises UserError where the index of shards cannot be read.
    """
    name = next(name for name in LOADED if (folder / name).is_file())
    if name != INDEX:
        return [folder / name]
    try:
        shards = json.loads((folder / name).read_text())["weight_map"].values()
        return [folder / shard for shard in sorted(set(shards))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{folder / name}: found no weight_map, expected the index of {WEIGHTS}'s shards"
        ) from error


def check_weights(path: Path) -> None:
    """Raise UserError unless a file of weights is there and as long as it says of itself.

    Reads the beginning and the end, not the weights.
    """
    if fault := _fault(path):
        raise UserError(f"{path}: found {fault}, expected whole weights")


def _fault(path: Path) -> str | None:
    try:
        with open(path, "rb") as stream:
            start = stream.read(64)
        if start.startswith(b"version https://git-lfs"):
            return "a pointer of Git LFS (`git lfs pull` gets the file)"
        if path.suffix == ".safetensors":
            # The stubs of safetensors leave out what keys returns.
            safe_open(path, framework="np").keys()  # pyright: ignore[reportUnknownMemberType]
        elif not start or (start.startswith(b"PK") and not zipfile.is_zipfile(path)):
            return "a file that has been cut off"
    except SafetensorError as error:
        return f"a broken file ({str(error).splitlines()[0][:100]})"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror or error})"
    return None
