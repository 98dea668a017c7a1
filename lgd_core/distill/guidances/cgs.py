"""Guidance of all images of a class together: apart from each other, around the real mean (CGS).

The set-level guidance of "RSM + CGS" (CVPR 2026), as described. It needs no network.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lgd_core.config.kinds import GuidanceKind
from lgd_core.config.models.base import Count
from lgd_core.config.models.guidance import GuidanceConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class SetConfig(GuidanceConfig):
    """Guidance that moves the images of a class apart and their mean to the real latents' mean."""

    strength: Annotated[float, Field(ge=0, le=100_000)] = Field(
        0.0, description="Strength of the part that moves images apart; 0 turns both parts off."
    )
    norm: Literal["raw", "relative"] = Field(
        "raw",
        description=(
            "raw shifts the next latent by strength x gradient; relative as for learnability."
        ),
    )
    pull: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description=(
            "Share of the way to the mean of the class's real latents that the mean of the images "
            "goes with every step."
        ),
    )
    ridge: Annotated[float, Field(gt=0, le=10)] = Field(
        0.01, description="What is added to the diagonal of the matrix of cosines."
    )
    memory: Count | None = Field(
        None,
        description="Latest latents per class that are kept apart from, too; null keeps all.",
    )


def build(settings: SetConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance of the images of whole classes, given those of earlier increments."""
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.guiding import set_or_nothing
    from lgd_core.distill.modes import cluster_masses
    from lgd_core.distill.set_guidance import SetGuidance

    spec, device = context.spec, context.prior.device
    centres = present(context.artifacts.modes)
    shares = cluster_masses(present(context.artifacts.mode_sizes))[..., None, None, None]
    return SetGuidance(
        set_or_nothing(context, settings.memory).to(device),
        spec.memory_rows.to(device),
        (centres * shares).sum(1).to(device),
        spec.drawn_candidates,
        settings.strength,
        settings.norm,
        settings.pull,
        settings.ridge,
    )


GUIDANCE = GuidanceKind(
    settings=SetConfig,
    build=build,
    needs=("memory", "modes"),
    collective=True,
    ancestral=True,
    order=6,
)
