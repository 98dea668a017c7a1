"""Guidance towards images that the learner gets wrong and the reference gets right (Eq. 8)."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, GuidanceKind
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


def build(settings: LearnabilityConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance that raises the learnability score."""
    from lgd_core.distill.guiding import score_guidance

    scorer = context.artifacts.scorer
    return score_guidance(settings.strength, settings.norm, scorer, "learnability", context)


def evaluations(
    settings: LearnabilityConfig, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of one guided step of one image."""
    networks = ["decoder", "learner", *(["reference"] if settings.reference_weight else [])]
    passes = {f"{name}_{way}": 1.0 for name in networks for way in ("forward", "backward")}
    return passes | {"x0_backward": 1}


GUIDANCE = GuidanceKind(
    settings=LearnabilityConfig,
    build=build,
    needs=("learner", "reference"),
    evaluations=evaluations,
    order=0,
)
