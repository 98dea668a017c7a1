"""Images that the diffusion prior draws, with or without guidance."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator

from lgd_core.config.kinds import Amounts, ImageSource, choice_kinds, guidance_kinds
from lgd_core.config.methods import acting_guidances, is_ranked, needs_of_guidances
from lgd_core.config.models.base import Config
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import GuidingConfig, MethodConfig, SamplerConfig

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext
    from lgd_core.distill.spec import IncrementSpec


class PriorSettings(Config):
    """The settings of images drawn from a prior.

    ``guidance`` has the active guidances by name. ``window`` and ``guiding`` give the steps at
    which they act, ``guiding`` also the decoder of their gradients, and ``gradient`` the path of
    these; without guidance, ``window`` and ``gradient`` are None. ``through_autoencoder`` is said
    of real candidates. Where all candidates are real, ``sampler`` says their batches alone.
    """

    sampler: SamplerConfig
    candidates: int = 1
    guidance: dict[str, SerializeAsAny[GuidanceConfig]] = Field(default_factory=dict)
    window: list[int] | None = None
    guiding: GuidingConfig = Field(
        default_factory=GuidingConfig, exclude_if=lambda part: part == GuidingConfig()
    )
    gradient: Literal["tweedie", "full"] | None = None
    select: str = Field(default="learnability", exclude_if=lambda name: name == "learnability")
    weights: Literal["clusters"] | None = Field(
        default=None, exclude_if=lambda weights: weights is None
    )
    real_candidates: int = Field(default=0, exclude_if=lambda number: number == 0)
    start_step: int | None = Field(default=None, exclude_if=lambda step: step is None)
    through_autoencoder: bool = Field(default=False, exclude_if=lambda through: not through)

    @field_validator("guidance", mode="before")
    @classmethod
    def _read_each_by_its_kind(cls, value: dict[str, Any]) -> dict[str, GuidanceConfig]:
        kinds = guidance_kinds()
        return {
            name: kinds[name].settings.model_validate(part) if isinstance(part, dict) else part
            for name, part in value.items()
        }


def settings(method: MethodConfig, increment: int) -> PriorSettings:
    """Return the settings of an increment's candidates, without those of inactive guidances."""
    guidance, sampler = acting_guidances(method, increment), method.sampler
    drawn = method.real_per_position < method.candidates
    return PriorSettings(
        sampler=sampler if drawn else SamplerConfig(classes_per_batch=sampler.classes_per_batch),
        candidates=method.candidates,
        guidance=guidance,
        window=method.window if guidance else None,
        guiding=method.guidance if guidance else GuidingConfig(),
        gradient=method.learnability.gradient if guidance else None,
        select=method.select,
        weights=method.weights,
        real_candidates=method.real_per_position,
        start_step=method.start_step if drawn else None,
        through_autoencoder=method.through_autoencoder and method.real_per_position > 0,
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: those of its guidances and of the choice it makes."""
    found = needs_of_guidances(method, increment)
    if is_ranked(method):
        found |= set(choice_kinds()[method.select].needs)
    if settings(method, increment).guiding.decoder == "small":
        found.add("small_decoder")
    if method.real_per_position or method.start_step is not None:
        found.add("originals")
    return found


def guided_increment(context: "SourceContext[PriorSettings]") -> "IncrementSpec":
    """Describe an increment of a method that draws from the prior."""
    from lgd_core.distill.context import unguided_increment

    settings = context.settings
    plain = unguided_increment(settings.sampler, *context.drawn)
    plain = replace(
        plain,
        candidates=settings.candidates,
        select=settings.select,
        weights=settings.weights,
        real_candidates=settings.real_candidates,
        through_autoencoder=settings.through_autoencoder,
        sampling=replace(plain.sampling, start=settings.start_step),
    )
    if settings.window is None:
        return plain
    first, last = settings.window
    sampling = replace(
        plain.sampling,
        window=(first, last),
        every=settings.guiding.every,
        through_transformer=settings.gradient == "full",
    )
    return replace(plain, sampling=sampling, guidance=settings.guidance)


def make(context: "SourceContext[PriorSettings]") -> "Candidates":
    """Draw all candidates of an increment."""
    from lgd_core.distill.drawing import draw

    spec = guided_increment(context)
    return draw(context.prior, context.artifacts, spec, context.checkpoint)


def trajectory(method: MethodConfig) -> Counter[str]:
    """Return the network evaluations of drawing an image, without guidance."""
    encoded = 0 if method.start_step is None else 1
    return Counter(
        transformer_forward=_branches(method, method.sampled_steps),
        decoder_forward=1,
        encoder_forward=encoded,
    )


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image, including all its candidates."""
    drawn = method.candidates - method.real_per_position
    through = int(method.through_autoencoder)
    parts = (
        (drawn, trajectory(method)),
        (drawn, _guidance(method, increment, amounts)),
        (method.real_per_position, {"encoder_forward": 1, "decoder_forward": through}),
        (method.candidates, _measuring(method, increment)),
    )
    passes: dict[str, float] = {}
    for times, part in parts:
        for name, number in part.items():
            passes[name] = passes.get(name, 0) + times * number
    return {name: number for name, number in passes.items() if number}


def _branches(method: MethodConfig, steps: Iterable[int]) -> int:
    """Return the forward passes of all steps of some indices."""
    return sum(map(method.sampler.branches, steps))


def _measuring(method: MethodConfig, increment: int) -> Mapping[str, float]:
    """Return the network evaluations of measuring one candidate as it is stored."""
    rule = choice_kinds()[method.select]
    # Learnability is measured wherever there is a learner, whether it chooses or not.
    measured = needs(method, increment) >= set(rule.needs)
    return rule.evaluations(method) if measured else {}


def _guidance(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of all guided steps of one trajectory."""
    steps, kinds = method.guided_steps, guidance_kinds()
    passes: dict[str, float] = {}
    for name, part in acting_guidances(method, increment).items():
        step = kinds[name].evaluations(part, method, increment, amounts)
        for network, number in step.items():
            passes[network] = passes.get(network, 0) + number
    if method.guidance.decoder == "small":
        passes = {_through_small(network): number for network, number in passes.items()}
    gradients = passes.pop("x0_backward", 0)
    passes = {network: len(steps) * number for network, number in passes.items()}
    if method.learnability.gradient == "full":
        passes["transformer_backward"] = _branches(method, steps) * gradients
    return passes


def _through_small(network: str) -> str:
    return f"small_{network}" if network.startswith("decoder_") else network


SOURCE = ImageSource(
    description="sampled",
    model=PriorSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
)
