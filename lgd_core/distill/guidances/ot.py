"""Guidance by optimal transport: each image goes where the set leaves a class's clusters uncovered.

The transport-guided part of DMGD (CVPR 2026). It needs no network.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lgd_core.config.kinds import Amounts, GuidanceKind
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class TransportConfig(GuidanceConfig):
    """Guidance that lowers the cost of transport from a class's images to the clusters of modes."""

    strength: Annotated[float, Field(ge=0, le=100_000)] = Field(
        0.0, description="Guidance strength (rho); 0 turns it off."
    )
    norm: Literal["raw", "relative"] = Field(
        "raw",
        description=(
            "raw shifts the next latent by strength x gradient, which fades with the number of "
            "images; relative as for learnability."
        ),
    )
    plan: Literal["fixed", "unrolled"] = Field(
        "fixed",
        description="Whether the transport plan is held constant or differentiated as well.",
    )


def build(settings: TransportConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance of the next images, given those so far."""
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.guiding import set_or_nothing
    from lgd_core.distill.modes import cluster_masses
    from lgd_core.distill.transport import TransportGuidance

    spec, device = context.spec, context.prior.device
    return TransportGuidance(
        set_or_nothing(context, None).to(device),
        spec.memory_rows.to(device),
        present(context.artifacts.modes).to(device),
        cluster_masses(present(context.artifacts.mode_sizes)).to(device),
        settings.strength,
        settings.norm,
        settings.plan == "unrolled",
    )


def evaluations(
    settings: TransportConfig, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of one guided step of one image: none but the gradient's."""
    return {"x0_backward": 1}


GUIDANCE = GuidanceKind(
    settings=TransportConfig,
    build=build,
    needs=("memory", "modes"),
    evaluations=evaluations,
    sequential=True,
    ancestral=True,
    order=5,
)
