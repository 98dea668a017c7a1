"""Keys that all guidances have, and those of the learnability score, which ranks as well."""

from typing import Annotated, Literal, Self

from pydantic import Field

from lgd_core.config.models.base import Config

Strength = Annotated[float, Field(ge=0, le=1000)]
# By what a guidance is scaled.
Norm = Literal["rms", "relative"]


class GuidanceConfig(Config):
    """Guidance of the samples; a section of a method is one if it has a strength."""

    strength: Strength = Field(default=0.0, description="Guidance strength; 0 turns it off.")

    @property
    def acts(self) -> bool:
        """Whether the guidance has any strength, at one increment or at all of them."""
        return bool(self.strength)

    def strength_at(self, increment: int) -> float:
        """Return the strength at an increment."""
        return self.strength

    def at_increment(self, increment: int) -> Self:
        """Return the guidance with its strength at an increment."""
        return self.model_copy(update={"strength": self.strength_at(increment)})


class LearnabilityConfig(GuidanceConfig):
    """Learnability score and guidance (Eqs. 7 and 8)."""

    strength: Strength = Field(
        default=0.0, description="Guidance strength (lambda); 0 turns guidance off, not the score."
    )
    strength_by_increment: list[Strength] = Field(
        default=[],
        description="Strength of increments 1, 2, ...; the last one goes on. Empty means strength.",
    )
    norm: Norm = Field(
        default="rms",
        description=(
            "rms scales by the root mean square of the noise, as the paper's numbers need; "
            "relative makes the strength a share of the noise norm, whatever the latent's size."
        ),
    )
    reference_weight: float = Field(
        default=0.5, ge=0, le=10, description="Weight of the reference's loss in the score (omega)."
    )
    gradient: Literal["tweedie", "full"] = Field(
        default="tweedie",
        description="tweedie holds the noise constant; full also differentiates the transformer.",
    )

    @property
    def acts(self) -> bool:
        return any(self.strength_by_increment or [self.strength])

    def strength_at(self, increment: int) -> float:
        """Return the strength at an increment; a schedule begins with increment 1."""
        schedule = self.strength_by_increment
        if not schedule:
            return self.strength
        return schedule[max(0, min(increment, len(schedule)) - 1)]

    def at_increment(self, increment: int) -> Self:
        # Strengths of other increments are no reason to draw this one again.
        strength = self.strength_at(increment)
        return self.model_copy(update={"strength": strength, "strength_by_increment": []})
