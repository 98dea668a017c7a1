"""What a schema cannot say of a data set or a method: which of their keys must agree."""

from lgd_core.errors import UserError
from lgd_core.methods import is_guided


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
    if recipe["augment"]["lighting"] and channels != 3:
        raise UserError(
            f"{where}: augment.lighting: found {recipe['augment']['lighting']}, expected 0 for "
            "grey images, since it shifts colours"
        )
    labels = recipe["prior"]["labels"]
    if labels and len(labels) != classes:
        raise UserError(
            f"{where}: prior.labels: found {len(labels)}, expected {classes}, one per class"
        )
    for ipc, epochs in recipe["evaluation"]["epochs"].items():
        if not all(isinstance(n, int) and n > 0 for n in (ipc, epochs)):
            raise UserError(
                f"{where}: evaluation.epochs: found {ipc!r}: {epochs!r}, "
                "expected images per class: epochs, both whole numbers above 0"
            )


def check_held_out(recipe: dict, where: str, purpose: str) -> None:
    """Raise UserError unless a data set holds out training images, which ``purpose`` needs."""
    if not recipe["source"]["validation_fraction"]:
        raise UserError(
            f"{where}: source.validation_fraction: found 0, expected more, since {purpose} needs "
            "training images that are held out"
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
