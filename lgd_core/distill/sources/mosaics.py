"""Mosaics of the crops of real images that the reference classifies best (RDED)."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.models.mosaic import MosaicConfig
from lgd_core.distill.sources.real import StoredSettings, stored

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


class MosaicSettings(StoredSettings):
    """The settings of mosaics."""

    mosaic: MosaicConfig


def settings(method: MethodConfig, increment: int) -> MosaicSettings:
    """Return the settings of an increment."""
    return MosaicSettings(
        through_autoencoder=method.through_autoencoder, mosaic=method.section(MosaicConfig)
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment."""
    return {"originals", "reference"}


def make(context: "SourceContext[MosaicSettings]") -> "Candidates":
    """Return mosaics as one candidate per position; increments share no crop."""
    from lgd_core.distill.context import as_candidates
    from lgd_core.distill.mosaics import mosaics

    images = mosaics(context, context.settings.mosaic)
    through = context.settings.through_autoencoder
    return as_candidates(images, len(context.labels), through, context.prior), {}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image, with its share of the scored crops."""
    recipe = method.section(MosaicConfig)
    scored = min(recipe.images, amounts.smallest_class) * recipe.crops
    return stored(method) | {"network_forward": scored / method.ipc_per_increment}


SOURCE = ImageSource(
    description="mosaics of crops of training images that the reference classifies best",
    model=MosaicSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
    sections={"mosaic": MosaicConfig},
)
