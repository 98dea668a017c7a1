"""Drawing an increment: candidates, scores, the greedy choice and the memory it feeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.seeding import generator
from lgd_core.diffusion import guidance
from lgd_core.diffusion.guidance import Guidance
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample
from lgd_core.distill.candidates import select, take
from lgd_core.distill.influence import Influence
from lgd_core.distill.modes import ModeGuidance
from lgd_core.networks.classifiers import Preprocess


@dataclass(frozen=True)
class Scorer:
    """The learnability score of images, by a learner and a reference; see guidance.learnability."""

    learner: nn.Module
    reference: nn.Module
    preprocess: Preprocess
    reference_weight: float

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Score images on [0, 1] (B, C, H, W); returns (B,)."""
        images = self.preprocess(images)
        return guidance.learnability(
            self.learner, self.reference, images, labels, self.reference_weight
        )


@dataclass(frozen=True)
class Artifacts:
    """What a method's increments are made from beside the prior; None where it has no use for it.

    ``memory`` (classes of the data set, M, c, h, w) holds the latents already in the set, ``real``
    is the folder of the data set's arrays, ``reference`` a network trained on all real images,
    ``modes`` (classes, M, c, h, w) are centres of real latents.
    """

    scorer: Scorer | None = None
    memory: Tensor | None = None
    real: Path | None = None
    influence: Influence | None = None
    reference: nn.Module | None = None
    modes: Tensor | None = None


@dataclass(frozen=True)
class IncrementSpec:
    """One increment, or one shard of its classes: what to draw and how.

    ``classes`` are the labels of the shard, ``prior_labels`` what the prior calls every class of
    the data set. ``key`` is (seed, increment). ``classes_per_batch`` classes share a batch; None
    means all. ``first_position`` images of each class lie in the increments before this one,
    however few ``positions`` of it are drawn. ``guidance`` holds the recipe of every
    guidance by its key, with its ``strength``.
    """

    classes: list[int]
    prior_labels: list[int]
    positions: int
    candidates: int
    sampling: Sampling
    key: tuple[int, int]
    classes_per_batch: int | None = 1
    first_position: int = 0
    guidance: dict[str, dict] = field(default_factory=dict)

    def is_guided_by(self, name: str) -> bool:
        """Whether a guidance acts at this increment."""
        return name in self.guidance and self.guidance[name]["strength"] != 0


def rounds(spec: IncrementSpec, max_batch: int, done: int = 0) -> Iterator[range]:
    """Yield the positions that are drawn together, from position ``done`` on.

    With deviation guidance each position looks at the choice before it; without, positions are
    independent and share a batch.
    """
    together = 1
    if not spec.is_guided_by("deviation"):
        classes = spec.classes_per_batch or len(spec.classes)
        together = max(1, max_batch // (classes * spec.candidates))
    for start in range(done, spec.positions, together):
        yield range(start, min(start + together, spec.positions))


def batches(
    spec: IncrementSpec, positions: range, max_batch: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the (class, position, candidate) of a round, class by class, in batches.

    What shares a batch decides the last bits of floating-point sums. With one class per batch they
    do not depend on how classes are split into shards.
    """
    size = spec.classes_per_batch or len(spec.classes)
    for first in range(0, len(spec.classes), size):
        keys = list(product(spec.classes[first : first + size], positions, range(spec.candidates)))
        for start in range(0, len(keys), max_batch):
            yield keys[start : start + max_batch]


def draw(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], dict]:
    """Draw all candidates of an increment, choosing greedily position by position.

    Returns ``latents`` (classes, positions, kappa, c, h, w), uint8 ``images`` likewise and
    ``scores`` (classes, positions, kappa), NaN without a scorer; and the guidance trace, per
    guidance and step index the mean ratio of change to noise. Saves after every round.
    """
    nothing = {"latents": [], "images": [], "scores": [], "ratios": {}}
    state = checkpoint.load("candidates", *nothing) or nothing
    parts = {name: state[name] for name in ("latents", "images", "scores")}
    trace = GuidanceTrace(state["ratios"])
    done = sum(part.shape[1] for part in parts["scores"])
    with progress("candidates", spec.positions, done) as bar:
        for positions in rounds(spec, prior.micro_batches.largest, done):
            guidances = guidances_for(prior, artifacts, spec, parts)
            drawn = draw_positions(prior, artifacts.scorer, spec, positions, guidances, trace)
            for name, part in parts.items():
                part.append(drawn[name])
            bar.set_postfix(S=f"{_mean_best(drawn['scores']):.3f}", refresh=False)
            bar.update(len(positions))
            checkpoint.save("candidates", parts | {"ratios": trace.ratios})
    tensors = {name: torch.cat(part, dim=1) for name, part in parts.items()}
    return tensors, _mean_ratios(trace)


def _memory(
    known: Tensor | None, spec: IncrementSpec, parts: dict[str, list[Tensor]], limit: int | None
) -> Tensor | None:
    """Return the latents of the set so far and of this increment's choices; None if empty.

    The last ``limit`` of each class; None means all.
    """
    chosen = [
        take(latents, select(scores))
        for latents, scores in zip(parts["latents"], parts["scores"], strict=True)
    ]
    before = [] if known is None else [known[spec.classes]]
    if not before and not chosen:
        return None
    memory = torch.cat([*before, *chosen], dim=1)
    return memory if limit is None else memory[:, -limit:]


@dataclass(frozen=True)
class GuidanceContext:
    """What a guidance may be made from: an increment, its artifacts, what has been drawn of it.

    ``parts`` are the lists that draw keeps, by name, of the rounds before this one.
    """

    prior: Prior
    artifacts: Artifacts
    spec: IncrementSpec
    parts: dict[str, list[Tensor]]


def _by_score(
    recipe: dict, context: GuidanceContext, score: Callable[[Tensor, Tensor], Tensor], work: str
) -> Guidance:
    """Return the guidance that raises a score of images on [0, 1] and their labels."""
    return guidance.ScoreGuidance(
        lambda x0, labels: score(context.prior.decode(x0), labels),
        recipe["strength"],
        recipe["norm"],
        context.prior.micro_batches,
        work,
    )


def _learnability(recipe: dict, context: GuidanceContext) -> Guidance:
    return _by_score(recipe, context, context.artifacts.scorer, "learnability guidance")


def _influence(recipe: dict, context: GuidanceContext) -> Guidance:
    return _by_score(recipe, context, context.artifacts.influence, "influence guidance")


def _deviation(recipe: dict, context: GuidanceContext) -> Guidance | None:
    memory = _memory(context.artifacts.memory, context.spec, context.parts, recipe["memory"])
    if memory is None:
        return None
    by_label = torch.zeros(len(context.spec.prior_labels), *memory.shape[1:])
    by_label[context.spec.classes] = memory
    by_label = by_label.to(context.prior.device)
    return guidance.DeviationGuidance(by_label, recipe["strength"], recipe["norm"])


def _modes(recipe: dict, context: GuidanceContext) -> Guidance:
    return ModeGuidance(context.artifacts.modes.to(context.prior.device), recipe["strength"])


# How the guidance of each key of a recipe is made; None where there is nothing to be guided by yet.
# The order is that in which changes of the noise are added up.
BUILDERS: dict[str, Callable[[dict, GuidanceContext], Guidance | None]] = {
    "learnability": _learnability,
    "influence": _influence,
    "deviation": _deviation,
    "modes": _modes,
}


def guidances_for(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, parts: dict[str, list[Tensor]]
) -> dict[str, Guidance]:
    """Return the guidances of an increment's next position.

    ``parts`` is what draw has drawn so far.

    Raises UserError for one that nothing is known to make.
    """
    context = GuidanceContext(prior, artifacts, spec, parts)
    acting = {name for name in spec.guidance if spec.is_guided_by(name)}
    if unknown := acting - set(BUILDERS):
        raise UserError(
            f"{min(unknown)}: found no guidance of that name, expected an entry of "
            "selection.BUILDERS"
        )
    built = {
        name: build(spec.guidance[name], context)
        for name, build in BUILDERS.items()
        if name in acting
    }
    return {name: made for name, made in built.items() if made is not None}


def draw_positions(
    prior: Prior,
    scorer: Scorer | None,
    spec: IncrementSpec,
    positions: range,
    guidances: dict[str, Guidance],
    trace: GuidanceTrace,
) -> dict[str, Tensor]:
    """Draw and score every class, position and candidate of a round, in batches.

    Returns ``latents``, ``images`` and ``scores`` (classes, positions, kappa, ...), as draw does.
    """
    shape = (len(spec.classes), len(positions), spec.candidates)
    latents, images, scores = [], [], []
    for keys in batches(spec, positions, prior.micro_batches.largest):
        labels = torch.tensor([label for label, _, _ in keys])
        generators = [generator(*spec.key, *key) for key in keys]
        drawn = sample(
            prior,
            Conditions(
                labels.to(prior.device),
                torch.tensor(spec.prior_labels)[labels].to(prior.device),
                torch.tensor([spec.first_position + position for _, position, _ in keys]).to(
                    prior.device
                ),
            ),
            generators,
            spec.sampling,
            guidances,
            trace,
        )
        latents.append(drawn.cpu())
        images.append(prior.decode_images(drawn))
        scores.append(_score(scorer, images[-1], labels, prior.device))
    drawn = {"latents": latents, "images": images, "scores": scores}
    return {name: torch.cat(part).unflatten(0, shape) for name, part in drawn.items()}


@torch.inference_mode()
def _score(scorer: Scorer | None, images: Tensor, labels: Tensor, device: torch.device) -> Tensor:
    """Score uint8 images (B, C, H, W) as they are stored; NaN without a scorer.

    Raises UserError where a scorer finds anything but finite numbers.
    """
    if scorer is None:
        return torch.full((len(labels),), torch.nan)
    scores = scorer(images.to(device).float() / 255, labels.to(device)).cpu()
    require_finite(scores, "scores of candidates", "a lower lr of the learner or the reference")
    return scores


def _mean_best(scores: Tensor) -> float:
    return scores.amax(-1).mean().item()


def _mean_ratios(trace: GuidanceTrace) -> dict[str, dict[int, float]]:
    return {
        name: {index: sum(values) / len(values) for index, values in steps.items()}
        for name, steps in trace.ratios.items()
    }
