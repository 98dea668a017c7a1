"""What a method can be made of: guidances, choices and sources, each a module of its own.

A module of `lgd_core.distill.guidances` offers a `GuidanceKind` as ``GUIDANCE``, one of
`lgd_core.distill.choices` a `ChoiceKind` as ``CHOICE``, one of `lgd_core.distill.sources` an
`ImageSource` as ``SOURCE``; all are known by the module's name.
Importing such a module must not import PyTorch: functions that need it import it themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lgd_core.config.models.base import Config
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.plugins import discover


@dataclass(frozen=True)
class Amounts:
    """What decides the network evaluations of an image beside its method.

    ``classes`` are those that one job draws, on average; ``images`` all real training images,
    ``images_per_class`` those of a class on average and ``smallest_class`` those of the class that
    has fewest; ``checkpoints`` those kept of the surrogate, 0 where there is none.
    """

    classes: float
    images: int
    images_per_class: float
    smallest_class: int
    checkpoints: int = 0


def no_evaluations(
    settings: Any, method: MethodConfig, increment: int, amounts: Amounts
) -> dict[str, float]:
    """Return the network evaluations of a guidance that takes none."""
    return {}


@dataclass(frozen=True)
class GuidanceKind:
    """A guidance: the section of a method that it reads, and how it is made.

    ``build`` takes the settings and a `guiding.GuidanceContext` and returns a guidance, or None
    where there is nothing to be guided by yet. ``needs`` names artifacts, see `needs`.
    ``evaluations`` takes settings, method, increment and amounts and returns what one guided step
    of one image takes: names of `network_evaluations.PASSES` to numbers, and ``x0_backward``, how
    often the step is differentiated through the predicted clean latent. ``sequential``: a position
    depends on the choice at positions before it. ``collective``: all images of a class are guided
    together, so that a batch has whole classes, by class, position and candidate. ``ancestral``: it
    reads the mean or the noise of a step of ancestral sampling, so that other schedulers are
    refused. ``order`` decides the order in which changes of the noise are added up, and so the last
    bits of their sum.
    """

    settings: type[GuidanceConfig]
    build: Callable[[Any, Any], Any]
    needs: tuple[str, ...] = ()
    evaluations: Callable[[Any, MethodConfig, int, Amounts], dict[str, float]] = no_evaluations
    sequential: bool = False
    collective: bool = False
    ancestral: bool = False
    order: int = 100


def nothing_of_classes(artifacts: Any, labels: list[int]) -> dict[str, Any]:
    """Measure nothing of classes."""
    return {}


def no_candidate_evaluations(method: MethodConfig) -> dict[str, float]:
    """Return the network evaluations of a choice that takes none."""
    return {}


@dataclass(frozen=True)
class ChoiceKind:
    """A rule that chooses the images of an increment among its candidates.

    ``measure`` takes `artifacts.Artifacts` and returns a function of images on [0, 1] and labels;
    that gives tensors (B, ...) of candidates by name, ``scores`` (B,) for one that ranks them. It
    is None where nothing can be measured. ``of_classes`` takes the artifacts and labels and gives
    what is measured of classes, (labels, ...). ``choose`` takes the settings and all these by name,
    those of candidates as (classes, positions, candidates, ...), and returns which of a class's
    candidates have its positions: (classes, positions) of position x candidates + candidate.
    ``scope`` says what it must see at once: the candidates of a position, of a class, or of all
    classes. ``settings`` are the keys that ``choose`` alone reads. ``needs`` names artifacts,
    ``evaluations`` returns the network evaluations of one candidate.
    """

    description: str
    measure: Callable[[Any], Any]
    choose: Callable[[Any, dict[str, Any]], Any]
    settings: type[Config] | None = None
    needs: tuple[str, ...] = ()
    evaluations: Callable[[MethodConfig], Mapping[str, float]] = no_candidate_evaluations
    scope: Literal["position", "class", "set"] = "position"
    of_classes: Callable[[Any, list[int]], dict[str, Any]] = nothing_of_classes


def one_image(settings: Any) -> int:
    """Return the factor of a source whose stored images are one image each."""
    return 1


def no_architectures(method: MethodConfig) -> dict[str, str]:
    """Return the architectures of a source that trains no network."""
    return {}


def no_check(method: MethodConfig, dataset: Any) -> None:
    """Accept any data set."""


@dataclass(frozen=True)
class ImageSource:
    """A source of images: what a method says of it, and how an increment comes from it.

    ``settings`` returns what decides an increment, as ``model`` reads it in the job; ``make``
    takes a `increments.SourceContext` and returns candidates and a guidance trace. ``needs`` names
    the artifacts of an increment. ``evaluations`` returns the network evaluations of one kept
    image, names of `network_evaluations.PASSES` to numbers. ``sections`` are keys of a method that
    this source alone reads. ``factor`` takes the settings: each stored image holds factor x factor
    smaller ones. ``architectures`` are those of the networks it trains, by their dotted key.
    ``check`` raises DisagreementError if a method does not fit a data set.
    """

    description: str
    model: type[Config]
    settings: Callable[[MethodConfig, int], Config]
    make: Callable[[Any], tuple[dict[str, Any], dict[str, dict[int, float]]]]
    needs: Callable[[MethodConfig, int], set[str]]
    evaluations: Callable[[MethodConfig, int, Amounts], Mapping[str, float]]
    sections: dict[str, type[Config]] = field(default_factory=dict[str, type[Config]])
    factor: Callable[[Any], int] = one_image
    architectures: Callable[[MethodConfig], dict[str, str]] = no_architectures
    check: Callable[[MethodConfig, Any], None] = no_check


def guidance_kinds() -> dict[str, GuidanceKind]:
    """Return all guidances by name, in the order in which their changes are added up."""
    found = discover("lgd_core.distill.guidances", "GUIDANCE")
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


def choice_kinds() -> dict[str, ChoiceKind]:
    """Return all rules that choose among candidates, by name."""
    return discover("lgd_core.distill.choices", "CHOICE")


def image_sources() -> dict[str, ImageSource]:
    """Return all sources of images by name."""
    return discover("lgd_core.distill.sources", "SOURCE")
