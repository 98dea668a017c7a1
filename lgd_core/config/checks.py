"""What a schema cannot say of a data set or a method: which of their keys must agree."""

from lgd_core.base.errors import UserError
from lgd_core.config.methods import is_guided

# diffusers embeds positions by sine and cosine of two coordinates.
EMBEDDED = 4


def check_dataset(recipe: dict, where: str) -> None:
    """Raise UserError where keys of a data set do not agree; ``where`` names the file."""
    classes, channels = len(recipe["classes"]), recipe["image"]["channels"]
    for key in ("mean", "std"):
        if len(recipe["normalise"][key]) != channels:
            found = len(recipe["normalise"][key])
            raise UserError(
                f"{where}: normalise.{key}: found {found} values, expected {channels}, "
                "one per image channel"
            )
    _check_augment(recipe["augment"], channels, f"{where}: augment")
    labels = recipe["prior"]["labels"]
    if labels and len(labels) != classes:
        raise UserError(
            f"{where}: prior.labels: found {len(labels)}, expected {classes}, one per class"
        )
    if recipe["prior"]["source"] == "train":
        check_trained_prior(recipe["prior"]["train"], recipe["image"]["size"], where)


def _check_augment(augment: dict, channels: int, where: str) -> None:
    if augment["lighting"] and channels != 3:
        raise UserError(
            f"{where}.lighting: found {augment['lighting']}, expected 0 for grey images, since it "
            "shifts colours"
        )
    for key in ("crop_scale", "crop_ratio"):
        least, greatest = augment[key]
        if least > greatest:
            raise UserError(
                f"{where}.{key}: found [{least}, {greatest}], expected the smaller one first"
            )


def check_held_out(recipe: dict, where: str, purpose: str) -> None:
    """Raise UserError unless a data set holds out training images, which ``purpose`` needs."""
    if not recipe["source"]["validation_fraction"]:
        raise UserError(
            f"{where}: source.validation_fraction: found 0, expected more, since {purpose} needs "
            "training images that are held out"
        )


def check_trained_prior(train: dict, size: int, where: str) -> None:
    """Raise UserError unless networks of a prior's recipe can be built for images of ``size``.

    diffusers would find out when both are built, and the transformer comes after the autoencoder.
    """
    autoencoder, transformer = train["autoencoder"], train["transformer"]
    prefix, widths = f"{where}: prior.train", autoencoder["widths"]
    factor = 2 ** (len(widths) - 1)
    if size % factor:
        raise UserError(
            f"{prefix}.autoencoder.widths: found {len(widths)} widths, which halve the resolution "
            f"{len(widths) - 1} times, expected fewer for images of {size} pixels"
        )
    for width in widths:
        if width % autoencoder["norm_groups"]:
            raise UserError(
                f"{prefix}.autoencoder.widths: found {width}, expected multiples of "
                f"{autoencoder['norm_groups']}, the norm_groups"
            )
    if size // factor % transformer["patch_size"]:
        raise UserError(
            f"{prefix}.transformer.patch_size: found {transformer['patch_size']}, expected a "
            f"divisor of {size // factor}, the side of a latent"
        )
    width = transformer["heads"] * transformer["head_dim"]
    if width % EMBEDDED:
        raise UserError(
            f"{prefix}.transformer: found {transformer['heads']} heads of head_dim "
            f"{transformer['head_dim']}, expected a product that is a multiple of {EMBEDDED}"
        )


def check_method(recipe: dict, dataset: dict, where: str) -> None:
    """Raise UserError where keys of a method do not agree with one another or its data set."""
    (first, last), steps = recipe["window"], recipe["sampler"]["steps"]
    # Without guidance the window is of no use, and the default need not fit the steps.
    if is_guided(recipe) and not first <= last < steps:
        raise UserError(
            f"{where}: window: found [{first}, {last}], expected first <= last < {steps}, "
            "the number of sampling steps"
        )
    held_out = dataset["source"]["validation_fraction"]
    if recipe["learner"]["monitor"] == "validation" and not held_out:
        raise UserError(
            f"{where}: learner.monitor: found validation, expected training, since the data "
            "set's source.validation_fraction is 0"
        )
