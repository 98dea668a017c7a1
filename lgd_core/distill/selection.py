"""Drawing an increment: candidates, scores, the greedy choice and the memory of chosen latents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.seeding import generator
from lgd_core.config.kinds import guidance_kinds
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.guidance import Guidance, ScoreGuidance, learnability
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample
from lgd_core.diffusion.small_decoder import SmallDecoder
from lgd_core.distill.candidates import select, take
from lgd_core.distill.influence import Influence
from lgd_core.distill.pools import RealPool
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
        return learnability(self.learner, self.reference, images, labels, self.reference_weight)


@dataclass(frozen=True)
class Artifacts:
    """The inputs of a method's increments besides the prior; None if the method does not need one.

    ``memory`` (classes of the shard, M, c, h, w) holds the latents already in the set, ``real``
    has the data set's images, ``reference`` a network trained on all real images, ``modes``
    (classes of the data set, M, c, h, w) are centres of real latents, ``mode_sizes`` (classes, M)
    the number of latents of each. ``preprocess`` prepares images for networks. ``small_decoder``
    takes the place of the prior's decoder in gradients. ``files`` has the paths of all inputs of
    the job by name, for guidances and sources that read their own files.
    """

    scorer: Scorer | None = None
    memory: Tensor | None = None
    real: RealImages | None = None
    influence: Influence | None = None
    reference: nn.Module | None = None
    modes: Tensor | None = None
    mode_sizes: Tensor | None = None
    preprocess: Preprocess | None = None
    small_decoder: SmallDecoder | None = None
    files: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def of_classes(self, shard: list[int], labels: list[int]) -> "Artifacts":
        """Return the artifacts of some of the shard's classes."""
        if self.memory is None or labels == shard:
            return self
        return replace(self, memory=self.memory[[shard.index(label) for label in labels]])


Artifact = TypeVar("Artifact")


def present(artifact: Artifact | None) -> Artifact:
    """Return an artifact that a source or guidance needs; raises TypeError if the job has none."""
    if artifact is None:
        raise TypeError("found None for a needed artifact, see config.methods.needs")
    return artifact


@dataclass(frozen=True)
class IncrementSpec:
    """One increment, or one shard of its classes: what to draw and how.

    ``classes`` are the labels of the shard, ``prior_labels`` the prior's labels of all classes of
    the data set. ``key`` is (seed, increment). ``classes_per_batch`` classes share a batch; None
    means all. ``first_position`` is the number of images per class in earlier increments; it does
    not depend on ``positions``. The last ``real_candidates`` of a position are real images, with
    ``through_autoencoder`` as the prior's gives them back. ``guidance`` has the settings of every
    active guidance by name.
    """

    classes: list[int]
    prior_labels: list[int]
    positions: int
    candidates: int
    sampling: Sampling
    key: tuple[int | str, int]
    classes_per_batch: int | None = None
    first_position: int = 0
    real_candidates: int = 0
    through_autoencoder: bool = False
    guidance: dict[str, GuidanceConfig] = field(default_factory=dict[str, GuidanceConfig])

    @property
    def uses_real_images(self) -> bool:
        """Whether candidates are real images, or begin at their latents."""
        return self.real_candidates > 0 or self.sampling.start is not None

    @property
    def sequential(self) -> bool:
        """Whether a position depends on the candidates chosen for earlier positions."""
        kinds = guidance_kinds()
        return any(kinds[name].sequential for name in self.guidance)


def rounds(spec: IncrementSpec, max_batch: int, done: int = 0) -> Iterator[range]:
    """Yield the positions that are drawn together, from position ``done`` on.

    Positions share a batch if no guidance depends on the candidates chosen for earlier ones.
    """
    together = 1
    if not spec.sequential:
        classes = spec.classes_per_batch or len(spec.classes)
        together = max(1, max_batch // (classes * spec.candidates))
    for start in range(done, spec.positions, together):
        yield range(start, min(start + together, spec.positions))


def batches(
    spec: IncrementSpec, positions: range, max_batch: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the (class, position, candidate) of a round, class by class, in batches.

    The last bits of floating-point sums depend on what is in the same batch. With one class per
    batch they do not depend on the division of classes into shards.
    """
    size = spec.classes_per_batch or len(spec.classes)
    for first in range(0, len(spec.classes), size):
        keys = list(product(spec.classes[first : first + size], positions, range(spec.candidates)))
        for start in range(0, len(keys), max_batch):
            yield keys[start : start + max_batch]


def draw(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], dict[str, dict[int, float]]]:
    """Draw all candidates of an increment, choosing greedily position by position.

    Returns ``latents`` (classes, positions, kappa, c, h, w), uint8 ``images`` of the same leading
    shape and ``scores`` (classes, positions, kappa), NaN without a scorer. Also returns the
    guidance trace: per guidance and step index, the mean ratio of change to noise. Classes of a
    tuned prior are drawn phase by phase. Saves a checkpoint after every round.
    """
    drawn: list[dict[str, Tensor]] = []
    trace = GuidanceTrace()
    for labels in prior.tuned_for(spec.classes):
        part = replace(spec, classes=labels)
        known = artifacts.of_classes(spec.classes, labels)
        tensors, own = _draw_phase(prior, known, part, checkpoint)
        drawn.append(tensors)
        trace.extend(own)
    joined = {name: torch.cat([tensors[name] for tensors in drawn]) for name in drawn[0]}
    return joined, _mean_ratios(trace)


def _draw_phase(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], GuidanceTrace]:
    """Draw the classes of one phase, as draw does."""
    name = f"candidates_from_{spec.classes[0]}"
    nothing: dict[str, Any] = {"latents": [], "images": [], "scores": [], "ratios": {}}
    state = checkpoint.load(name, *nothing) or nothing
    parts: dict[str, list[Tensor]] = {name: state[name] for name in ("latents", "images", "scores")}
    trace, pool = GuidanceTrace(state["ratios"]), pool_of(artifacts, spec)
    done = sum(part.shape[1] for part in parts["scores"])
    with progress("candidates", spec.positions, done) as bar:
        for positions in rounds(spec, prior.micro_batches.largest, done):
            guidances = guidances_for(GuidanceContext(prior, artifacts, spec, parts))
            drawn = draw_positions(prior, artifacts.scorer, spec, positions, guidances, trace, pool)
            for key, part in parts.items():
                part.append(drawn[key])
            bar.set_postfix(S=f"{_mean_best(drawn['scores']):.3f}", refresh=False)
            bar.update(len(positions))
            checkpoint.save(name, parts | {"ratios": trace.ratios})
    return {key: torch.cat(part, dim=1) for key, part in parts.items()}, trace


@dataclass(frozen=True)
class GuidanceContext:
    """The inputs for building a guidance: an increment, its artifacts, its images drawn so far.

    ``parts`` are the lists of earlier rounds that draw keeps, by name.
    """

    prior: Prior
    artifacts: Artifacts
    spec: IncrementSpec
    parts: dict[str, list[Tensor]]


def set_so_far(context: GuidanceContext, limit: int | None) -> Tensor | None:
    """Return the latents (classes of the shard, M, c, h, w) already in the set, or None.

    They include those chosen so far in this increment. Only the last ``limit`` of each class are
    returned; None means all.
    """
    parts, known = context.parts, context.artifacts.memory
    chosen = [
        take(latents, select(scores))
        for latents, scores in zip(parts["latents"], parts["scores"], strict=True)
    ]
    before = [] if known is None else [known]
    if not before and not chosen:
        return None
    memory = torch.cat([*before, *chosen], dim=1)
    return memory if limit is None else memory[:, -limit:]


def score_guidance(
    strength: float,
    norm: str,
    score: Callable[[Tensor, Tensor], Tensor] | None,
    name: str,
    context: GuidanceContext,
) -> Guidance:
    """Return the guidance that raises a score of images on [0, 1] and their labels.

    Its gradient goes through the small decoder, where there is one.
    """
    score = present(score)
    decode = context.artifacts.small_decoder or context.prior.decode
    return ScoreGuidance(
        lambda x0, labels: score(decode(x0), labels),
        strength,
        norm,
        context.prior.micro_batches,
        f"{name} guidance",
    )


def guidances_for(context: GuidanceContext) -> dict[str, Guidance]:
    """Return the guidances for an increment's next position, in the order in which they apply."""
    acting = context.spec.guidance
    built = {
        name: kind.build(acting[name], context)
        for name, kind in guidance_kinds().items()
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
    pool: RealPool | None = None,
) -> dict[str, Tensor]:
    """Draw and score every class, position and candidate of a round, in batches.

    Returns ``latents``, ``images`` and ``scores`` (classes, positions, kappa, ...), as draw does.
    """
    shape = (len(spec.classes), len(positions), spec.candidates)
    parts: dict[str, list[Tensor]] = {"latents": [], "images": [], "scores": []}
    for keys in batches(spec, positions, prior.micro_batches.largest):
        labels = torch.tensor([label for label, _, _ in keys])
        latents, images = _make(prior, spec, keys, guidances, trace, pool)
        parts["latents"].append(latents)
        parts["images"].append(images)
        parts["scores"].append(_score(scorer, images, labels, prior.device))
    return {name: torch.cat(part).unflatten(0, shape) for name, part in parts.items()}


def pool_of(artifacts: Artifacts, spec: IncrementSpec) -> RealPool | None:
    """Return the real images behind an increment's candidates; None where there are none."""
    if not spec.uses_real_images:
        return None
    last = spec.first_position + spec.positions - 1
    return RealPool.of(present(artifacts.real), spec.classes, spec.candidates, last, spec.key[0])


def _make(
    prior: Prior,
    spec: IncrementSpec,
    keys: list[tuple[int, int, int]],
    guidances: dict[str, Guidance],
    trace: GuidanceTrace,
    pool: RealPool | None,
) -> tuple[Tensor, Tensor]:
    """Return the latents (B, c, h, w) and uint8 images of a batch's candidates, on the CPU."""
    is_real = torch.tensor([key[2] >= spec.candidates - spec.real_candidates for key in keys])
    parts: list[tuple[Tensor, Tensor]] = []
    if not is_real.all():
        own = [key for key, real in zip(keys, is_real, strict=True) if not real]
        parts.append(_drawn(prior, spec, own, guidances, trace, pool))
    if pool is not None and is_real.any():
        own = [key for key, real in zip(keys, is_real, strict=True) if real]
        images = pool.of_candidates(_numbered(spec, own))
        latents = prior.encode(images)
        parts.append(
            (latents, prior.decode_images(latents) if spec.through_autoencoder else images)
        )
    # Back into the order of the keys: the drawn ones come before the real ones now.
    places = torch.cat([(~is_real).nonzero(), is_real.nonzero()]).flatten().argsort()
    latents, images = (torch.cat(each)[places] for each in zip(*parts, strict=True))
    return latents, images


def _numbered(spec: IncrementSpec, keys: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return keys with positions that count a class's images over all increments."""
    return [(label, spec.first_position + position, j) for label, position, j in keys]


def _drawn(
    prior: Prior,
    spec: IncrementSpec,
    keys: list[tuple[int, int, int]],
    guidances: dict[str, Guidance],
    trace: GuidanceTrace,
    pool: RealPool | None,
) -> tuple[Tensor, Tensor]:
    """Return the latents and images of candidates that are drawn from the prior, on the CPU."""
    labels = torch.tensor([label for label, _, _ in keys])
    numbered = _numbered(spec, keys)
    begin = None
    if pool is not None and spec.sampling.start is not None:
        begin = prior.encode(pool.of_candidates(numbered)).to(prior.device)
    drawn = sample(
        prior,
        Conditions(
            labels.to(prior.device),
            torch.tensor(spec.prior_labels)[labels].to(prior.device),
            torch.tensor([position for _, position, _ in numbered]).to(prior.device),
        ),
        [generator(*spec.key, *key) for key in keys],
        spec.sampling,
        guidances,
        trace,
        begin,
    )
    return drawn.cpu(), prior.decode_images(drawn)


@torch.inference_mode()
def _score(scorer: Scorer | None, images: Tensor, labels: Tensor, device: torch.device) -> Tensor:
    """Score uint8 images (B, C, H, W) as they are stored; NaN without a scorer.

    Raises UserError if a score is not finite.
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
