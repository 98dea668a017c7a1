"""Guidance towards images whose gradient resembles that of their class's real images (IGD).

Chen et al., "Influence-guided diffusion for dataset distillation" (ICLR 2025).
"""

from typing import TYPE_CHECKING

from pydantic import Field

from lgd_core.config.kinds import Amounts, GuidanceKind
from lgd_core.config.models.guidance import GuidanceConfig, Norm, Strength
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class InfluenceConfig(GuidanceConfig):
    """Guidance towards images whose gradient resembles that of their class's real images (IGD,
    Chen et al., ICLR 2025); the data set's influence says how those gradients are made.
    """

    strength: Strength = Field(
        0.0, description="Guidance strength; 0 turns it off, and no surrogate is trained."
    )
    norm: Norm = Field("rms", description="rms or relative, as for learnability.")


def build(settings: InfluenceConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance that raises the influence score."""
    from lgd_core.distill.guiding import score_guidance

    influence = context.artifacts.influence
    return score_guidance(settings.strength, settings.norm, influence, "influence", context)


def evaluations(
    settings: InfluenceConfig, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of one guided step of one image."""
    # The score is a cosine of gradients: its own gradient goes through the surrogate twice.
    surrogate: dict[str, float] = {
        "surrogate_forward": amounts.checkpoints,
        "surrogate_backward": 2 * amounts.checkpoints,
    }
    return surrogate | {"decoder_forward": 1, "decoder_backward": 1, "x0_backward": 1}


GUIDANCE = GuidanceKind(
    settings=InfluenceConfig,
    build=build,
    needs=("influence",),
    evaluations=evaluations,
    order=1,
)
