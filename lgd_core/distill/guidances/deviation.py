"""Guidance away from the nearest image of the same class already in the set."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lgd_core.config.kinds import Amounts, GuidanceKind
from lgd_core.config.models.base import Count
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class DeviationConfig(GuidanceConfig):
    """Guidance away from the nearest image already in the set."""

    strength: Annotated[float, Field(ge=0, le=100_000)] = Field(
        0.0, description="Guidance strength (gamma); 0 turns it off."
    )
    norm: Literal["raw", "relative"] = Field(
        "raw",
        description="raw uses the gradient as it is, like the paper; relative as for learnability.",
    )
    memory: Count | None = Field(
        None, description="Latest latents per class that count as memory; null keeps all."
    )


def build(settings: DeviationConfig, context: "GuidanceContext") -> "Guidance | None":
    """Return the guidance away from the set so far; None while the set is empty."""
    from lgd_core.diffusion.guidance import DeviationGuidance
    from lgd_core.distill.guiding import set_so_far

    spec = context.spec
    memory = set_so_far(context, settings.memory)
    if memory is None:
        return None
    device = context.prior.device
    rows = spec.memory_rows.to(device)
    return DeviationGuidance(memory.to(device), settings.strength, settings.norm, rows)


def evaluations(
    settings: DeviationConfig, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of one guided step of one image."""
    # The first position of increment 0 has nothing to deviate from.
    share = 1 if increment else 1 - 1 / method.ipc_per_increment
    return {"x0_backward": share}


GUIDANCE = GuidanceKind(
    settings=DeviationConfig,
    build=build,
    needs=("memory",),
    evaluations=evaluations,
    sequential=True,
    order=2,
)
