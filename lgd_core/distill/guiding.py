"""The guidances of an increment, and what several of them are built from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lgd_core.config.kinds import guidance_kinds
from lgd_core.diffusion.guidance import Guidance, ScoreGuidance
from lgd_core.diffusion.priors import Prior
from lgd_core.distill.artifacts import Artifacts, present
from lgd_core.distill.selection import select, take
from lgd_core.distill.spec import IncrementSpec


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
