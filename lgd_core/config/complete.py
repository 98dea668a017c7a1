"""The model of a method with the keys of all guidances and sources of images that there are."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, create_model, model_validator

from lgd_core.config.kinds import guidance_kinds, image_sources
from lgd_core.config.methods import is_guided, needs
from lgd_core.config.models.base import DisagreementError
from lgd_core.config.models.method import MethodConfig


class CheckedMethod(MethodConfig):
    """A distillation method, as a recipe."""

    @model_validator(mode="after")
    def _window_fits_the_steps(self) -> Self:
        (first, last), steps = self.window, self.sampler.steps
        # Without guidance the window is of no use, and the default need not fit the steps.
        if is_guided(self) and not first <= last < steps:
            raise DisagreementError(
                "window",
                f"found [{first}, {last}], expected first <= last < {steps}, "
                "the number of sampling steps",
            )
        return self

    @model_validator(mode="after")
    def _guidances_know_the_scheduler(self) -> Self:
        scheduler, kinds = self.sampler.scheduler, guidance_kinds()
        for name, guidance in self.guidances.items():
            if scheduler != "ddpm" and guidance.acts and kinds[name].ancestral:
                raise DisagreementError(
                    "sampler.scheduler",
                    f"found {scheduler}, expected ddpm, since guidance by {name} moves the mean of "
                    "its step",
                )
        return self

    @model_validator(mode="after")
    def _candidates_are_drawn_or_real(self) -> Self:
        if self.real_candidates > self.candidates:
            raise DisagreementError(
                "real_candidates",
                f"found {self.real_candidates}, expected at most {self.candidates}, the candidates",
            )
        if self.real_candidates == self.candidates and is_guided(self):
            raise DisagreementError(
                "real_candidates",
                f"found {self.real_candidates}, all candidates, expected fewer with guidance, "
                "which acts on those that are drawn",
            )
        if self.start_step is not None and self.start_step >= self.sampler.steps:
            raise DisagreementError(
                "start_step",
                f"found {self.start_step}, expected less than {self.sampler.steps}, the number of "
                "sampling steps",
            )
        return self

    @model_validator(mode="after")
    def _seed_needs_no_learner(self) -> Self:
        if self.seed.source == "own" and "learner" in needs(self, 0):
            raise DisagreementError(
                "seed.source",
                "found own, expected prior, real, folder or a method, since "
                "there is no learner before increment 0",
            )
        return self


def _plugged() -> dict[str, tuple[object, object]]:
    """Return the fields that plug-ins add to a method: their sections, and which sources exist."""
    sections = {name: kind.settings for name, kind in guidance_kinds().items()}
    for source in image_sources().values():
        sections |= source.sections
    fields: dict[str, tuple[object, object]] = {
        name: (model, Field(default_factory=model)) for name, model in sections.items()
    }
    sources = image_sources()
    listed = ", ".join(f"{name} ({source.description})" for name, source in sources.items())
    told = f"Where the images of increments 1, 2, ... come from: {listed}."
    return fields | {"source": (Literal[tuple(sources)], Field("prior", description=told))}


if TYPE_CHECKING:
    CompleteMethod = CheckedMethod
else:
    CompleteMethod = create_model(
        "MethodConfig", __base__=CheckedMethod, __doc__=CheckedMethod.__doc__, **_plugged()
    )
