"""Real training images that cover their class (greedy k-center; Sener and Savarese, 2018)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lgd_core.distill.sources import herding

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext
    from lgd_core.distill.sources.real import StoredSettings


def make(context: "SourceContext[StoredSettings]") -> "Candidates":
    """Return the chosen real images as one candidate per position."""
    from lgd_core.distill.coresets import coreset_candidates, kcenter

    return coreset_candidates(context, kcenter)


# Inputs and costs are those of herding; only the choice differs.
SOURCE = replace(
    herding.SOURCE,
    description="training images that cover their class, in the reference's features",
    make=make,
)
