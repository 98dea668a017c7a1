"""Guidance towards modes of a class's real latents (MGD3).

Chan-Santiago et al., "MGD3: Mode-guided dataset distillation using diffusion models" (ICML 2025).
"""

from typing import TYPE_CHECKING

from pydantic import Field

from lgd_core.config.kinds import GuidanceKind
from lgd_core.config.models.base import Config, Count
from lgd_core.config.models.guidance import GuidanceConfig, Strength
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from lgd_core.diffusion.guidance import Guidance
    from lgd_core.distill.guiding import GuidanceContext


class ModesConfig(GuidanceConfig):
    """Guidance of each image to a mode of its class's real latents, as in MGD3."""

    strength: Strength = Field(
        0.0, description="Guidance strength, a share of the step's own noise; 0 turns it off."
    )
    clusters: Count | None = Field(
        None,
        description=(
            "Clusters per class that all increments share, image j going to cluster j modulo "
            "their number. Null clusters anew for every increment, into as many clusters as it "
            "has images."
        ),
    )


class ModeSettings(Config):
    """The settings of an increment's modes; the latents are its other input."""

    clusters: int
    increment: int


def mode_settings(method: MethodConfig, increment: int) -> ModeSettings:
    """Return the number of an increment's modes per class, and the increment they are made for.

    The latter is 0 if all increments share their modes.
    """
    shared = method.section(ModesConfig).clusters
    return ModeSettings(
        clusters=shared or method.ipc_per_increment, increment=0 if shared else increment
    )


def build(settings: ModesConfig, context: "GuidanceContext") -> "Guidance":
    """Return the guidance of every position to its mode."""
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.modes import ModeGuidance

    modes = present(context.artifacts.modes)
    return ModeGuidance(modes.to(context.prior.device), settings.strength)


GUIDANCE = GuidanceKind(
    settings=ModesConfig, build=build, needs=("modes",), ancestral=True, order=3
)
