"""Real training images that cover their class (greedy k-center; Sener and Savarese, 2018)."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import ImageSource
from lgd_core.distill.sources.herding import evaluations, needs
from lgd_core.distill.sources.real import StoredSettings, settings

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


def make(context: "SourceContext[StoredSettings]") -> "Candidates":
    """Return the chosen real images as one candidate per position."""
    from lgd_core.distill.coresets import coreset_candidates, kcenter

    return coreset_candidates(context, kcenter)


SOURCE = ImageSource(
    description="training images that cover their class, in the reference's features",
    model=StoredSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
)
