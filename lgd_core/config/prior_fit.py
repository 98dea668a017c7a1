"""Whether the parts of a prior fit one another, a data set and the sampler; free of PyTorch.

Read from the configurations beside the weights, so that it is known before any job starts.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from lgd_core.base.errors import UserError
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.models.method import SamplerConfig, SchedulerName
from lgd_core.config.plain import Keys, is_list, is_mapping

# What diffusers takes where a configuration lacks a key.
TRANSFORMER = {
    "in_channels": 4,
    "out_channels": None,
    "sample_size": 32,
    "patch_size": 2,
    "num_embeds_ada_norm": 1000,
    "norm_type": "ada_norm_zero",
}
AUTOENCODER = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [64],
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
SMALL_DECODER = {
    "out_channels": 3,
    "latent_channels": 4,
    "decoder_block_out_channels": [64, 64, 64, 64],
}
SCHEDULER = {"num_train_timesteps": 1000, "prediction_type": "epsilon"}
# Of DDPMScheduler; schedulers of other kinds of models, such as flow matching, have none of these.
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace")

# By scheduler, in words: what its steps have to be to the prior's, and the other way round.
EXPECTED_STEPS = {"ddpm": "at most", "ddim": "a divisor of", "dpm-solver++": "fewer than"}
EXPECTED_KNOWN = {"ddpm": "at least", "ddim": "a multiple of", "dpm-solver++": "more than"}


class Config:
    """The configuration of a prior's part, over diffusers' defaults. Errors name its file."""

    def __init__(self, path: Path, defaults: Keys) -> None:
        self.path = path
        try:
            self.values: Keys = defaults | json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}: cannot be read, expected a JSON object, the configuration of a component"
            ) from error

    def require(self, key: str, fits: bool, expected: str) -> None:
        """Raise UserError, with what is found under ``key``, unless it ``fits``."""
        if not fits:
            found = repr(self.values.get(key))
            found = found if len(found) <= 60 else f"{found[:60]} ..."
            raise UserError(f"{self.path}: {key}: found {found}, expected {expected}")

    def count(self, key: str) -> int:
        """Return the whole number above 0 under ``key``; raises UserError for anything else."""
        value = self.values[key]
        self.require(key, type(value) is int and value > 0, "a whole number above 0")
        return value


def check_fit(
    pipeline: Path | None,
    autoencoder: Path | None,
    image: StoredImageConfig,
    classes: Sequence[str],
    labels: Sequence[int],
    samplers: Sequence[SamplerConfig] = (),
) -> None:
    """Raise UserError unless a prior draws what a data set needs, in a way that is sampled here.

    ``pipeline`` is the folder of a ``DiTPipeline``, ``autoencoder`` that of its ``AutoencoderKL``;
    None stands for one that is not there yet. ``image`` has ``size`` and ``channels``, ``labels``
    are the prior's class indices of the data set's ``classes``: none means that the prior has these
    classes, in this order. ``samplers`` are those that draw from the prior.
    """
    transformer = decoder = None
    if pipeline is not None:
        transformer = Config(pipeline / "transformer" / "config.json", TRANSFORMER)
        check_transformer(transformer)
        check_classes(transformer, classes, labels)
        if not labels:
            check_order(Config(pipeline / "model_index.json", {}), classes)
        path = pipeline / "scheduler" / "scheduler_config.json"
        check_scheduler(Config(path, SCHEDULER), samplers)
    if autoencoder is not None:
        decoder = Config(autoencoder / "config.json", AUTOENCODER)
        check_autoencoder(decoder, image.channels)
    if transformer is not None and decoder is not None:
        check_latents(transformer, decoder, image.size)


def check_small_fit(folder: Path, channels: int, autoencoder: Path | None) -> None:
    """Raise UserError unless a small decoder fits images of so many channels, and an autoencoder.

    ``autoencoder`` is the folder of the prior's; None stands for one that is not there yet.
    """
    small = Config(folder / "config.json", SMALL_DECODER)
    is_tiny = small.values.get("_class_name") == "AutoencoderTiny"
    small.require("_class_name", is_tiny, "AutoencoderTiny")
    fits = small.values["out_channels"] == channels
    small.require("out_channels", fits, f"{channels}, the image.channels of the data set")
    if autoencoder is None:
        return
    full, levels = Config(autoencoder / "config.json", AUTOENCODER), count_levels(autoencoder)
    latent = full.count("latent_channels")
    fits = small.values["latent_channels"] == latent
    small.require("latent_channels", fits, f"{latent}, the latent_channels of {full.path}")
    fits = len(small.values["decoder_block_out_channels"]) == levels
    small.require("decoder_block_out_channels", fits, f"{levels} widths, as {full.path} has")


def check_blocks(blocks: Sequence[int], levels: int) -> None:
    """Raise UserError unless a small decoder's recipe has a number for each of so many levels."""
    if len(blocks) != levels:
        raise UserError(
            f"prior.small_decoder.train.blocks: found {blocks}, expected {levels} numbers, one per "
            "width of the prior's autoencoder"
        )


def count_levels(autoencoder: Path) -> int:
    """Return the number of resolutions of the autoencoder in a folder."""
    return len(Config(autoencoder / "config.json", AUTOENCODER).values["block_out_channels"])


def check_transformer(config: Config) -> None:
    """Raise UserError unless a transformer is a DiT with sizes that agree."""
    # Transformer2DModel is what diffusers called it when DiT's authors' weights were published.
    name, kind = config.values.get("_class_name"), config.values["norm_type"]
    known = name in ("DiTTransformer2DModel", "Transformer2DModel")
    config.require("_class_name", known, "DiTTransformer2DModel")
    config.require("norm_type", kind == "ada_norm_zero", "ada_norm_zero, that of a DiT")
    channels, size, patch = map(config.count, ("in_channels", "sample_size", "patch_size"))
    config.require(
        "out_channels",
        config.values["out_channels"] in (None, channels, 2 * channels),
        f"{channels}, or {2 * channels} with learned variance",
    )
    config.require("patch_size", size % patch == 0, f"a divisor of {size}, the sample_size")


def check_classes(config: Config, classes: Sequence[str], labels: Sequence[int]) -> None:
    """Raise UserError unless a transformer knows the labels, or without any has as many classes."""
    known = config.count("num_embeds_ada_norm")
    found = f"{config.path}: num_embeds_ada_norm: found {known} classes"
    if labels and max(labels) >= known:
        name = classes[labels.index(max(labels))]
        raise UserError(
            f"{found}, but label {max(labels)} is asked for ({name}); expected a larger prior"
        )
    if not labels and len(classes) != known:
        raise UserError(
            f"{found}, but the data set has {len(classes)}; expected equal numbers or prior.labels"
        )


def check_order(config: Config, classes: Sequence[str]) -> None:
    """Raise UserError where a pipeline names the data set's classes in another order."""
    names = config.values.get("id2label")
    if not is_mapping(names):
        return
    known = [names.get(str(label)) for label in range(len(classes))]
    if sorted(map(str, known)) == sorted(classes) and known != [*classes]:
        label = next(label for label, name in enumerate(classes) if known[label] != name)
        raise UserError(
            f"{config.path}: id2label: found '{known[label]}' as label {label}, expected "
            f"'{classes[label]}' as in the data set, or prior.labels"
        )


def suits_steps(name: SchedulerName, steps: int, known: int) -> bool:
    """Whether a scheduler can take so many steps of a prior that knows so many."""
    # diffusers' DDIM takes all steps to be equally far apart, its DPM-Solver++ leaves out step 0.
    fits = {"ddpm": steps <= known, "ddim": known % steps == 0, "dpm-solver++": steps < known}
    return fits[name]


def check_scheduler(config: Config, samplers: Sequence[SamplerConfig]) -> None:
    """Raise UserError unless the prior predicts noise, on a schedule that suits all samplers."""
    values, betas = config.values, ", ".join(BETA_SCHEDULES)
    if values.get("trained_betas") is None:
        config.require("beta_schedule", values.get("beta_schedule") in BETA_SCHEDULES, betas)
    config.require("prediction_type", values["prediction_type"] == "epsilon", "epsilon")
    # The noise of a last step without any signal says nothing of the image.
    config.require("rescale_betas_zero_snr", not values.get("rescale_betas_zero_snr"), "false")
    known = config.count("num_train_timesteps")
    for sampler in sorted(samplers, key=lambda sampler: -sampler.steps):
        name, steps = sampler.scheduler, sampler.steps
        expected = f"{EXPECTED_KNOWN[name]} {steps}, the run's sampler.steps with scheduler {name}"
        config.require("num_train_timesteps", suits_steps(name, steps, known), expected)


def check_autoencoder(config: Config, channels: int) -> None:
    """Raise UserError unless an autoencoder codes images of so many channels, by a scale alone."""
    values = config.values
    is_kl = values.get("_class_name") == "AutoencoderKL"
    config.require("_class_name", is_kl, "AutoencoderKL")
    for key in ("in_channels", "out_channels"):
        fits = values[key] == channels
        config.require(key, fits, f"{channels}, the image.channels of the data set")
    scale = values["scaling_factor"]
    fits = type(scale) in (int, float) and math.isfinite(scale) and scale > 0
    config.require("scaling_factor", fits, "a finite number above 0")
    for key in ("shift_factor", "latents_mean", "latents_std"):
        config.require(key, values.get(key) is None, "null, since DiTPipeline does not apply it")
    widths = values["block_out_channels"]
    config.require("block_out_channels", is_list(widths) and bool(widths), "widths")


def check_latents(transformer: Config, autoencoder: Config, size: int) -> None:
    """Raise UserError unless transformer and autoencoder share latents of images of that size."""
    latent = autoencoder.count("latent_channels")
    fits = transformer.values["in_channels"] == latent
    expected = f"{latent}, the latent_channels of {autoencoder.path}"
    transformer.require("in_channels", fits, expected)
    factor = 2 ** (len(autoencoder.values["block_out_channels"]) - 1)
    drawn = factor * transformer.values["sample_size"]
    transformer.require(
        "sample_size", drawn == size, f"{size / factor:g} for an image.size of {size}, not {drawn}"
    )
