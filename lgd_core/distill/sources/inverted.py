"""Pixels optimised until the reference takes them for real images of their class (SRe2L)."""

from typing import TYPE_CHECKING

from lgd_core.config.architectures import parse_architecture
from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.base import DisagreementError
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.models.inversion import InversionConfig
from lgd_core.config.models.method import MethodConfig
from lgd_core.distill.sources.real import StoredSettings, stored

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


class InvertedSettings(StoredSettings):
    """The settings of inverted images."""

    inversion: InversionConfig


def settings(method: MethodConfig, increment: int) -> InvertedSettings:
    """Return the settings of an increment."""
    return InvertedSettings(
        through_autoencoder=method.through_autoencoder, inversion=method.section(InversionConfig)
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: a network alone, and no real images."""
    return {"reference"}


def make(context: "SourceContext[InvertedSettings]") -> "Candidates":
    """Return inverted images as one candidate per position."""
    from lgd_core.distill.context import as_candidates
    from lgd_core.distill.inversion import invert

    images = invert(context, context.settings.inversion)
    through = context.settings.through_autoencoder
    return as_candidates(images, len(context.labels), through, context.prior), {}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image."""
    steps = method.section(InversionConfig).steps
    return stored(method) | {"network_forward": steps, "network_backward": steps}


def check(method: MethodConfig, dataset: DatasetConfig) -> None:
    """Raise DisagreementError unless the reference model has batch normalisation."""
    name = dataset.reference.architecture
    if not parse_architecture(name).batch_norm:
        raise DisagreementError(
            "source",
            f"found inverted with the reference model {name}, expected one with batch "
            "normalisation, whose name ends with -bn",
        )


SOURCE = ImageSource(
    description="pixels optimised until the reference takes them for real images",
    model=InvertedSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
    sections={"inversion": InversionConfig},
    check=check,
)
