"""Random real training images."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.base import Config
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


class StoredSettings(Config):
    """The settings of images that the prior has not drawn: how they are stored."""

    through_autoencoder: bool


def settings(method: MethodConfig, increment: int) -> StoredSettings:
    """Return the settings of an increment."""
    return StoredSettings(through_autoencoder=method.through_autoencoder)


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment."""
    return {"originals"}


def make(context: "SourceContext[StoredSettings]") -> "Candidates":
    """Return random real images as one candidate per position."""
    from lgd_core.data.real_images import real_increment
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.context import as_candidates

    images, labels = present(context.artifacts.real).split("originals")
    classes = context.seen.classes
    rows = real_increment(labels, classes, context.ipc, *context.key)[context.labels]
    through = context.settings.through_autoencoder
    return as_candidates(images[rows.flatten()], len(context.labels), through, context.prior), {}


def stored(method: MethodConfig) -> dict[str, float]:
    """Return the network evaluations of storing one image that the prior has not drawn."""
    return {"encoder_forward": 1, "decoder_forward": int(method.through_autoencoder)}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image."""
    return stored(method)


SOURCE = ImageSource(
    description="random training images",
    model=StoredSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
)
