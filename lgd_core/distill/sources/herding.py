"""Real training images whose running mean follows that of their class (Welling, 2009)."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.method import MethodConfig
from lgd_core.distill.sources.real import StoredSettings, settings, stored

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: the images, and the reference for their features."""
    return {"originals", "train", "reference"}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image, with its share of the real images'."""
    real = amounts.images_per_class / method.ipc_per_increment
    return stored(method) | {"reference_forward": real}


def make(context: "SourceContext[StoredSettings]") -> "Candidates":
    """Return the chosen real images as one candidate per position."""
    from lgd_core.distill.coresets import coreset_candidates, herding

    return coreset_candidates(context, herding)


SOURCE = ImageSource(
    description="training images with the mean of their class, in the reference's features",
    model=StoredSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
)
