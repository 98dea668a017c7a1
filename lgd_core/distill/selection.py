"""Drawing an increment: candidates, what is measured of them, the memory of chosen latents."""

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
from lgd_core.config.kinds import choice_kinds, guidance_kinds
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.guidance import Guidance, ScoreGuidance, learnability
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, Sampling, sample
from lgd_core.diffusion.small_decoder import SmallDecoder
from lgd_core.distill.candidates import select, take
from lgd_core.distill.influence import Influence
from lgd_core.distill.modes import cluster_weights
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
    active guidance by name. ``select`` names the rule that chooses among candidates, None measures
    nothing of them. ``weights`` says by what images weigh in losses, None that they are alike.
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
    select: str | None = "learnability"
    weights: str | None = None

    @property
    def memory_rows(self) -> Tensor:
        """The row of every label in memory, which has those of the shard alone."""
        rows = torch.zeros(len(self.prior_labels), dtype=torch.long)
        rows[self.classes] = torch.arange(len(self.classes))
        return rows

    @property
    def uses_real_images(self) -> bool:
        """Whether candidates are real images, or begin at their latents."""
        return self.real_candidates > 0 or self.sampling.start is not None

    @property
    def sequential(self) -> bool:
        """Whether a position depends on the candidates chosen for earlier positions."""
        kinds = guidance_kinds()
        return any(kinds[name].sequential for name in self.guidance)

    @property
    def collective(self) -> bool:
        """Whether all images of a class are guided together."""
        kinds = guidance_kinds()
        return any(kinds[name].collective for name in self.guidance)

    @property
    def drawn_candidates(self) -> int:
        """The candidates of a position that are drawn from the prior."""
        return self.candidates - self.real_candidates


def rounds(spec: IncrementSpec, max_batch: int, done: int = 0) -> Iterator[range]:
    """Yield the positions that are drawn together, from position ``done`` on.

    Positions share a batch if no guidance depends on the candidates chosen for earlier ones.
    """
    together = 1
    if spec.collective:
        together = spec.positions
    elif not spec.sequential:
        classes = spec.classes_per_batch or len(spec.classes)
        together = max(1, max_batch // (classes * spec.candidates))
    for start in range(done, spec.positions, together):
        yield range(start, min(start + together, spec.positions))


def batches(
    spec: IncrementSpec, positions: range, max_batch: int
) -> Iterator[list[tuple[int, int, int]]]:
    """Yield the (class, position, candidate) of a round, class by class, in batches.

    The last bits of floating-point sums depend on what is in the same batch. With one class per
    batch they do not depend on the division of classes into shards. Where a class is guided as a
    whole, no batch has a part of it, even if it is larger.
    """
    size = spec.classes_per_batch or len(spec.classes)
    if spec.collective:
        whole = len(positions) * spec.candidates
        size = max(1, min(size, max_batch // whole))
        max_batch = max(max_batch, whole)
    for first in range(0, len(spec.classes), size):
        keys = list(product(spec.classes[first : first + size], positions, range(spec.candidates)))
        for start in range(0, len(keys), max_batch):
            yield keys[start : start + max_batch]


def draw(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], dict[str, dict[int, float]]]:
    """Draw all candidates of an increment, choosing greedily position by position.

    Returns ``latents`` (classes, positions, kappa, c, h, w), uint8 ``images`` of the same leading
    shape, ``scores`` (classes, positions, kappa), NaN where nothing is measured, and what else the
    rule of selection measures of candidates and classes; with ``spec.weights`` also ``weights``
    (classes, positions). Also returns the guidance trace: per guidance and step index, the mean
    ratio of change to noise. Classes of a tuned prior are drawn phase by phase, those that are
    guided as a whole as many at a time as a batch has. Saves a checkpoint after every round.
    """
    drawn: list[dict[str, Tensor]] = []
    trace = GuidanceTrace()
    for phase in prior.tuned_for(spec.classes):
        for labels in _drawn_at_once(spec, phase, prior.micro_batches.largest):
            part = replace(spec, classes=labels)
            known = artifacts.of_classes(spec.classes, labels)
            tensors, own = _draw_classes(prior, known, part, checkpoint)
            drawn.append(tensors)
            trace.extend(own)
    joined = {name: torch.cat([tensors[name] for tensors in drawn]) for name in drawn[0]}
    if spec.select is not None:
        joined |= choice_kinds()[spec.select].of_classes(artifacts, spec.classes)
    if spec.weights == "clusters":
        sizes = present(artifacts.mode_sizes)[spec.classes]
        joined["weights"] = cluster_weights(sizes, spec.first_position, spec.positions)
    return joined, _mean_ratios(trace)


def _drawn_at_once(spec: IncrementSpec, labels: list[int], max_batch: int) -> list[list[int]]:
    """Divide the classes of a phase: a round has all positions where they are guided together."""
    size = len(labels)
    if spec.collective:
        size = max(1, max_batch // (spec.positions * spec.candidates))
    return [labels[first : first + size] for first in range(0, len(labels), size)]


def _draw_classes(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], GuidanceTrace]:
    """Draw some classes of one phase, as draw does."""
    name = f"candidates_from_{spec.classes[0]}"
    nothing: dict[str, Any] = {"parts": {"latents": [], "scores": []}, "ratios": {}}
    state = checkpoint.load(name, *nothing) or nothing
    parts: dict[str, list[Tensor]] = state["parts"]
    trace, pool = GuidanceTrace(state["ratios"]), pool_of(artifacts, spec)
    measure = measure_of(artifacts, spec)
    done = sum(part.shape[1] for part in parts["scores"])
    with progress("candidates", spec.positions, done) as bar:
        for positions in rounds(spec, prior.micro_batches.largest, done):
            guidances = guidances_for(GuidanceContext(prior, artifacts, spec, parts))
            drawn = draw_positions(prior, measure, spec, positions, guidances, trace, pool)
            for key, part in drawn.items():
                parts.setdefault(key, []).append(part)
            bar.set_postfix(S=f"{_mean_best(drawn['scores']):.3f}", refresh=False)
            bar.update(len(positions))
            checkpoint.save(name, {"parts": parts, "ratios": trace.ratios})
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


def set_or_nothing(context: GuidanceContext, limit: int | None) -> Tensor:
    """Return set_so_far; without any images latents (classes of the shard, 0, c, h, w)."""
    memory = set_so_far(context, limit)
    if memory is None:
        memory = torch.empty(len(context.spec.classes), 0, *context.prior.latent_shape)
    return memory


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
    measure: "Measure | None",
    spec: IncrementSpec,
    positions: range,
    guidances: dict[str, Guidance],
    trace: GuidanceTrace,
    pool: RealPool | None = None,
) -> dict[str, Tensor]:
    """Draw and measure every class, position and candidate of a round, in batches.

    Returns ``latents``, ``images``, ``scores`` and what else is measured, each (classes, positions,
    kappa, ...), as draw does.
    """
    shape = (len(spec.classes), len(positions), spec.candidates)
    parts: dict[str, list[Tensor]] = {}
    making = _Making(prior, spec, guidances, trace, pool)
    for keys in batches(spec, positions, prior.micro_batches.largest):
        labels = torch.tensor([label for label, _, _ in keys])
        latents, images = making.candidates(keys)
        measured = _measured(measure, images, labels, prior.device)
        for name, part in {"latents": latents, "images": images, **measured}.items():
            parts.setdefault(name, []).append(part)
    return {name: torch.cat(part).unflatten(0, shape) for name, part in parts.items()}


def pool_of(artifacts: Artifacts, spec: IncrementSpec) -> RealPool | None:
    """Return the real images behind an increment's candidates; None where there are none."""
    if not spec.uses_real_images:
        return None
    last = spec.first_position + spec.positions - 1
    return RealPool.of(present(artifacts.real), spec.classes, spec.candidates, last, spec.key[0])


# Class, position and candidate.
Keys = list[tuple[int, int, int]]


@dataclass(frozen=True)
class _Making:
    """Makes the candidates of a round: drawn from the prior, or real images of the pool.

    Its methods return latents (B, c, h, w) and uint8 images (B, C, H, W) on the CPU.
    """

    prior: Prior
    spec: IncrementSpec
    guidances: dict[str, Guidance]
    trace: GuidanceTrace
    pool: RealPool | None

    def candidates(self, keys: Keys) -> tuple[Tensor, Tensor]:
        """Return the candidates of a batch, of either kind, in the order of the keys."""
        drawn = self.spec.drawn_candidates
        order = sorted(range(len(keys)), key=lambda place: keys[place][2] >= drawn)
        own = [keys[place] for place in order if keys[place][2] < drawn]
        rest = [keys[place] for place in order if keys[place][2] >= drawn]
        parts = [make(part) for make, part in ((self.drawn, own), (self.real, rest)) if part]
        back = torch.tensor(order).argsort()
        latents, images = (torch.cat(each)[back] for each in zip(*parts, strict=True))
        return latents, images

    def real(self, keys: Keys) -> tuple[Tensor, Tensor]:
        """Return real images, as the prior's autoencoder gives them back where that is asked."""
        images = self._pooled(keys)
        latents = self.prior.encode(images)
        if self.spec.through_autoencoder:
            images = self.prior.decode_images(latents)
        return latents, images

    def drawn(self, keys: Keys) -> tuple[Tensor, Tensor]:
        """Draw from the prior, from noise or from the latents of real images."""
        prior, spec = self.prior, self.spec
        labels = torch.tensor([label for label, _, _ in keys])
        begin = None if spec.sampling.start is None else prior.encode(self._pooled(keys))
        latents = sample(
            prior,
            Conditions(
                labels.to(prior.device),
                torch.tensor(spec.prior_labels)[labels].to(prior.device),
                torch.tensor([place for _, place, _ in self._placed(keys)]).to(prior.device),
            ),
            [generator(*spec.key, *key) for key in keys],
            spec.sampling,
            self.guidances,
            self.trace,
            begin,
        )
        return latents.cpu(), prior.decode_images(latents)

    def _pooled(self, keys: Keys) -> Tensor:
        return present(self.pool).of_candidates(self._placed(keys))

    def _placed(self, keys: Keys) -> Keys:
        """Return keys with positions that count a class's images over all increments."""
        first = self.spec.first_position
        return [(label, first + position, candidate) for label, position, candidate in keys]


# A function of images on [0, 1] (B, C, H, W) and labels (B,), see ChoiceKind.
Measure = Callable[[Tensor, Tensor], dict[str, Tensor]]


def measure_of(artifacts: Artifacts, spec: IncrementSpec) -> Measure | None:
    """Return what measures the candidates of an increment; None where nothing does."""
    return None if spec.select is None else choice_kinds()[spec.select].measure(artifacts)


@torch.inference_mode()
def _measured(
    measure: Measure | None, images: Tensor, labels: Tensor, device: torch.device
) -> dict[str, Tensor]:
    """Measure uint8 images (B, C, H, W) as they are stored; scores are NaN where nothing scores.

    Raises UserError if something that is measured is not finite.
    """
    found: dict[str, Tensor] = {"scores": torch.full((len(labels),), torch.nan)}
    if measure is None:
        return found
    for name, part in measure(images.to(device).float() / 255, labels.to(device)).items():
        found[name] = part.cpu()
        where = "a lower lr of the learner or the reference"
        require_finite(found[name], f"{name} of candidates", where)
    return found


def _mean_best(scores: Tensor) -> float:
    return scores.amax(-1).mean().item()


def _mean_ratios(trace: GuidanceTrace) -> dict[str, dict[int, float]]:
    return {
        name: {index: sum(values) / len(values) for index, values in steps.items()}
        for name, steps in trace.ratios.items()
    }
