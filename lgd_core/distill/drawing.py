"""Drawing the candidates of an increment, and measuring what they are chosen by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.finite import require_finite
from lgd_core.base.progress import progress
from lgd_core.base.seeding import generator
from lgd_core.config.kinds import choice_kinds
from lgd_core.diffusion.guidance import Guidance
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Conditions, GuidanceTrace, sample
from lgd_core.distill.artifacts import Artifacts, present
from lgd_core.distill.guiding import GuidanceContext, guidances_for
from lgd_core.distill.modes import cluster_weights
from lgd_core.distill.pools import RealPool
from lgd_core.distill.spec import IncrementSpec, Keys, batches, rounds


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
