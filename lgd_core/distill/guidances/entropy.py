"""Guidance towards images that the reference is uncertain of: LGD without the learner.

Uncertainty-aware guidance, as a rival of 2025 describes it; its strength, 10, is for the raw
gradient.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lgd_core.config.kinds import Amounts, GuidanceKind
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class EntropyConfig(GuidanceConfig):
    """Guidance towards a high entropy of the reference's prediction."""

    strength: Annotated[float, Field(ge=0, le=100_000)] = Field(
        0.0, description="Guidance strength; 0 turns it off."
    )
    norm: Literal["raw", "rms", "relative"] = Field(
        "raw",
        description="raw uses the gradient as it is; rms and relative are those of learnability.",
    )


def build(settings: EntropyConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance that raises the entropy."""
    from lgd_core.diffusion.guidance import entropy
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.guiding import score_guidance

    reference = present(context.artifacts.reference)
    preprocess = present(context.artifacts.preprocess)
    return score_guidance(
        settings.strength,
        settings.norm,
        lambda images, labels: entropy(reference, preprocess(images)),
        "entropy",
        context,
    )


def evaluations(
    settings: EntropyConfig, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of one guided step of one image."""
    networks = ("decoder", "reference")
    passes = {f"{name}_{way}": 1.0 for name in networks for way in ("forward", "backward")}
    return passes | {"x0_backward": 1}


GUIDANCE = GuidanceKind(
    settings=EntropyConfig, build=build, needs=("reference",), evaluations=evaluations, order=4
)
