"""The model of a method with the keys of all guidances, choices and sources that there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, create_model, model_validator

from lgd_core.config.kinds import (
    ChoiceKind,
    ImageSource,
    choice_kinds,
    guidance_kinds,
    image_sources,
)
from lgd_core.config.methods import is_guided, is_ranked, needs
from lgd_core.config.models.base import Config, DisagreementError
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
        real = self.real_per_position
        if real > self.candidates:
            raise DisagreementError(
                "real_candidates",
                f"found {real}, expected at most {self.candidates}, the candidates",
            )
        if real == self.candidates and is_guided(self):
            raise DisagreementError(
                "real_candidates",
                f"found {real}, all candidates, expected fewer with guidance, "
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
    def _choice_has_all_it_looks_at(self) -> Self:
        if self.select == "learnability":
            return self
        if not is_ranked(self):
            raise DisagreementError(
                "candidates", f"found 1, expected at least 2, among which {self.select} chooses"
            )
        kinds, scope = guidance_kinds(), choice_kinds()[self.select].scope
        for name, guidance in self.guidances.items():
            if guidance.acts and kinds[name].sequential and scope != "position":
                raise DisagreementError(
                    "select",
                    f"found {self.select}, which chooses when all candidates are drawn, expected "
                    f"learnability, since guidance by {name} depends on what is chosen before",
                )
        return self

    @model_validator(mode="after")
    def _guidances_agree_on_the_order(self) -> Self:
        kinds = guidance_kinds()
        acting = [name for name, guidance in self.guidances.items() if guidance.acts]
        together = [name for name in acting if kinds[name].collective]
        for name in acting:
            if together and kinds[name].sequential:
                raise DisagreementError(
                    f"{name}.strength",
                    f"found {self.guidances[name].strength:g}, expected 0, since {together[0]} "
                    f"guides all positions together and {name} one after another",
                )
        return self

    @model_validator(mode="after")
    def _weights_have_modes(self) -> Self:
        if self.weights == "clusters" and not self.guidances["modes"].acts:
            raise DisagreementError(
                "weights",
                "found clusters, expected null without guidance by modes, which says what cluster "
                "an image stands for",
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
    """Return the fields that plug-ins add to a method: their sections, and which of them exist."""
    sections: dict[str, type[Config]] = {
        name: kind.settings for name, kind in guidance_kinds().items()
    }
    choices, sources = choice_kinds(), image_sources()
    sections |= {name: kind.settings for name, kind in choices.items() if kind.settings}
    for source in sources.values():
        sections |= source.sections
    fields: dict[str, tuple[object, object]] = {
        name: (model, Field(default_factory=model)) for name, model in sections.items()
    }
    told = {
        "source": f"Where the images of increments 1, 2, ... come from: {_listed(sources)}.",
        "select": f"What chooses among candidates: {_listed(choices)}.",
    }
    return fields | {
        "source": (Literal[tuple(sources)], Field("prior", description=told["source"])),
        "select": (
            Literal[tuple(choices)],
            Field(
                "learnability",
                exclude_if=lambda name: name == "learnability",
                description=told["select"],
            ),
        ),
    }


def _listed(kinds: Mapping[str, ChoiceKind | ImageSource]) -> str:
    return ", ".join(f"{name} ({kind.description})" for name, kind in kinds.items())


if TYPE_CHECKING:
    CompleteMethod = CheckedMethod
else:
    CompleteMethod = create_model(
        "MethodConfig", __base__=CheckedMethod, __doc__=CheckedMethod.__doc__, **_plugged()
    )
