"""The effect of guidance along the sampling steps: the same noise, guided and unguided."""

import dataclasses
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from lgd_core.analysis.trace_tables import CHANGE, GUIDED, PATHS, UNGUIDED
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.progress import progress
from lgd_core.diffusion.guidance import DenoisingStep, Guidance, nearest_similarity
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import GuidanceTrace
from lgd_core.distill.artifacts import Artifacts, Scorer, present
from lgd_core.distill.drawing import draw_positions
from lgd_core.distill.guiding import GuidanceContext, guidances_for
from lgd_core.distill.spec import IncrementSpec

PROBE = "probe"
NOTHING_DRAWN = {"latents": [], "scores": []}


@dataclass(frozen=True)
class OnlyAt:
    """A guidance that acts only at some noise levels, given by alpha_bar.

    At others the guidance is not evaluated.
    """

    guidance: Guidance
    levels: frozenset[float]

    def __call__(self, step: DenoisingStep) -> Tensor:
        if step.alpha_bar.item() in self.levels:
            return self.guidance(step)
        return torch.zeros_like(step.noise)


@dataclass
class Probe:
    """A guidance that changes nothing and records scores, losses and similarities of every x0.

    ``memory`` (classes, M, c, h, w) is on the prior's device. ``records`` maps alpha_bar, in the
    order of the steps, to the quantities (B,) of each batch.
    """

    prior: Prior
    scorer: Scorer
    memory: Tensor
    records: dict[float, list[dict[str, Tensor]]] = field(default_factory=dict)

    def __call__(self, step: DenoisingStep) -> Tensor:
        with torch.no_grad():
            measured = self._measure(step.x0.detach(), step.labels)
        self.records.setdefault(step.alpha_bar.item(), []).append(measured)
        return torch.zeros_like(step.noise)

    def _measure(self, x0: Tensor, labels: Tensor) -> dict[str, Tensor]:
        losses = self.prior.micro_batches.map("probe", self._losses, x0, labels).cpu()
        learner, reference = losses.unbind(1)
        return {
            "score": learner - self.scorer.reference_weight * reference,
            "learner_loss": learner,
            "reference_loss": reference,
            "similarity": nearest_similarity(x0, self.memory[labels]).cpu(),
        }

    def _losses(self, x0: Tensor, labels: Tensor) -> Tensor:
        """Return the losses (B, 2) of learner and reference on the decoded x0."""
        images = self.scorer.preprocess(self.prior.decode(x0))
        networks = (self.scorer.learner, self.scorer.reference)
        losses = [F.cross_entropy(model(images), labels, reduction="none") for model in networks]
        return torch.stack(losses, dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Return alpha_bar (steps,) and every quantity as (steps, images)."""
        names = next(iter(self.records.values()))[0]
        values = {
            name: torch.stack(
                [torch.cat([b[name] for b in step]) for step in self.records.values()]
            )
            for name in names
        }
        return {"alpha_bar": torch.tensor(list(self.records))} | values


def trace_guidance(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, positions: int, checkpoint: Checkpoint
) -> dict[str, Tensor]:
    """Redraw the first candidates of an increment, guided and unguided, and measure every step.

    The noise is that of the increment's candidate 0 at positions 0, 1, ... The memory is that at
    the beginning of the increment. Position 0 is therefore redrawn exactly, while later positions
    lack the choices before them. ``artifacts`` needs a scorer and a memory.

    Returns, for each path of PATHS, ``PATH.alpha_bar`` (steps,) and ``PATH.QUANTITY`` (steps,
    images), starting from pure noise. Quantities are the score, both losses and the cosine
    similarity to the nearest latent in memory, of x0 before the step's own guidance; and, per
    guidance, the ratio of its change to the noise.
    """
    parts = [
        _trace_phase(prior, artifacts, spec, labels, positions, checkpoint)
        for labels in prior.tuned_for(spec.classes)
    ]
    return {
        name: values if values.dim() == 1 else torch.cat([part[name] for part in parts], dim=1)
        for name, values in parts[0].items()
    }


def _trace_phase(
    prior: Prior,
    artifacts: Artifacts,
    increment: IncrementSpec,
    labels: list[int],
    positions: int,
    checkpoint: Checkpoint,
) -> dict[str, Tensor]:
    """Trace those classes of an increment that one phase has tuned, as trace_guidance does."""
    name, spec = f"trace_from_{labels[0]}", dataclasses.replace(increment, classes=labels)
    whole, known = _whole_length(spec, positions), artifacts.of_classes(increment.classes, labels)
    guidances = guidances_for(GuidanceContext(prior, known, whole, NOTHING_DRAWN))
    acting = {GUIDED: _windowed(prior, spec, guidances), UNGUIDED: {}}
    state = checkpoint.load(name, GUIDED) or {}
    with progress("paths", len(PATHS), len(state)) as bar:
        for path in PATHS[len(state) :]:
            state[path] = _first(_follow(prior, artifacts, whole, acting[path]), whole, positions)
            bar.update()
            checkpoint.save(name, state)
    return {f"{path}.{key}": values for path, kept in state.items() for key, values in kept.items()}


def _first(followed: dict[str, Tensor], spec: IncrementSpec, positions: int) -> dict[str, Tensor]:
    """Return what is said of the first positions of every class; quantities are (steps, images)."""
    shape = (len(spec.classes), spec.positions)
    return {
        name: values
        if values.dim() == 1
        else values.unflatten(1, shape)[:, :, :positions].flatten(1)
        for name, values in followed.items()
    }


def _whole_length(spec: IncrementSpec, positions: int) -> IncrementSpec:
    """Return the spec of a few positions, with guidance functions called at every step.

    It has all positions where they are guided together.
    """
    return dataclasses.replace(
        spec,
        positions=spec.positions if spec.collective else min(positions, spec.positions),
        candidates=1,
        classes_per_batch=None,
        sampling=dataclasses.replace(spec.sampling, window=(0, spec.sampling.steps - 1), every=1),
    )


def _windowed(
    prior: Prior, spec: IncrementSpec, guidances: dict[str, Guidance]
) -> dict[str, Guidance]:
    """Let guidances act at the increment's own guided steps only."""
    if not guidances:  # and then there is no window
        return {}
    sampling = spec.sampling
    scheduler = prior.scheduler(sampling.steps, sampling.scheduler)
    levels = frozenset(
        scheduler.alphas_cumprod[scheduler.timesteps[sampling.steps - 1 - index]].item()
        for index in sampling.guided
    )
    return {name: OnlyAt(guidance, levels) for name, guidance in guidances.items()}


def _follow(
    prior: Prior, artifacts: Artifacts, spec: IncrementSpec, guidances: dict[str, Guidance]
) -> dict[str, Tensor]:
    probe, trace = (
        Probe(prior, present(artifacts.scorer), present(artifacts.memory).to(prior.device)),
        GuidanceTrace(),
    )
    acting = guidances | {PROBE: probe}
    draw_positions(prior, None, spec, range(spec.positions), acting, trace)
    changes = {
        f"{CHANGE}{name}": torch.tensor(list(trace.ratios[name].values())) for name in guidances
    }
    return probe.tensors() | changes
