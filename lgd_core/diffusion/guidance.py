"""Guidance: functions of a denoising step that return a change of the predicted noise.

Conventions: ``x0 = (x_t - sqrt(1 - alpha_bar) noise) / sqrt(alpha_bar)``, so adding a positive
multiple of a gradient to the noise moves x0 *down* that gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.micro_batches import MicroBatches


@dataclass(frozen=True)
class DenoisingStep:
    """One denoising step of a batch; tensors are (B, c, h, w) unless another shape is given.

    ``x0`` is differentiable with respect to ``x_t``. The sampler, not the guidance, decides whether
    this includes the transformer. ``alpha_bar`` () is the signal's share of the variance, ``beta``
    () the variance of the noise that the forward process adds from the next respaced timestep to
    this one. ``sigma`` is the standard deviation of the noise that the sampler adds: (), or per
    element if the prior has learned it; 0 for a scheduler that adds none. ``labels`` (B,) are
    classes of the data set, ``positions`` (B,) number a class's images over all increments.
    """

    x_t: Tensor
    noise: Tensor
    x0: Tensor
    alpha_bar: Tensor
    labels: Tensor
    beta: Tensor
    sigma: Tensor
    positions: Tensor


Guidance = Callable[[DenoisingStep], Tensor]


def learnability(
    learner: nn.Module, reference: nn.Module | None, images: Tensor, labels: Tensor, weight: float
) -> Tensor:
    """Return the learnability score (B,), Eq. 7: the learner's loss minus weight x the reference's.

    ``images`` (B, C, H, W) are normalised. The score is high if the learner's loss is high and the
    reference's is low. ``reference`` may be None if ``weight`` is 0.
    """
    score = F.cross_entropy(learner(images), labels, reduction="none")
    if reference is not None and weight:
        score = score - weight * F.cross_entropy(reference(images), labels, reduction="none")
    return score


def entropy(network: nn.Module, images: Tensor) -> Tensor:
    """Return the entropy (B,) in nats of a network's prediction for normalised images."""
    found = network(images).log_softmax(1)
    return -(found.exp() * found).sum(1)


@dataclass(frozen=True)
class ScoreGuidance:
    """Raise a score of the image that x0 decodes to: learnability (Eq. 8) or influence (IGD).

    ``noise - strength * rho * g`` with g the gradient of ``score(x0, labels)`` (B,) with respect to
    x_t and rho as below. The sign is the one that raises the score. ``work`` is the name under
    which MicroBatches limits the memory.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    strength: float
    norm: str
    micro_batches: MicroBatches
    work: str = "guidance"

    def __call__(self, step: DenoisingStep) -> Tensor:
        gradient = score_gradient(step, self.score, self.micro_batches, self.work)
        return -self.strength * rho(step, gradient, self.norm) * gradient


@dataclass(frozen=True)
class DeviationGuidance:
    """Lower the cosine similarity of x0 to the nearest latent of its class in memory.

    ``memory`` is (classes, M, c, h, w). ``rows`` has the row of every label in it; None where that
    is the label itself, and otherwise memory may lack classes that are not drawn. ``raw`` adds
    strength x gradient, as in the paper; the size of this change depends on the latent's dimension.
    ``relative`` makes the strength a share of the noise norm, see rho. The sign is the one that
    lowers the similarity.
    """

    memory: Tensor
    strength: float
    norm: str = "raw"
    rows: Tensor | None = None

    def __call__(self, step: DenoisingStep) -> Tensor:
        rows = step.labels if self.rows is None else self.rows[step.labels]
        similarity = nearest_similarity(step.x0, self.memory[rows])
        gradient = _gradient(similarity.sum(), step.x_t)
        if self.norm == "raw":
            return self.strength * gradient
        return self.strength * rho(step, gradient, self.norm) * gradient


def rho(step: DenoisingStep, gradient: Tensor, norm: str) -> Tensor:
    """Return ``sqrt(1 - alpha_bar) * size(noise) / |gradient|``, of a shape that broadcasts.

    ``size`` is the root mean square (``rms``) or the L2 norm (``relative``). With ``relative``, the
    change strength x rho x gradient has strength x sqrt(1 - alpha_bar) times the norm of the noise,
    whatever the latent's size. With ``raw`` it is ``sqrt(1 - alpha_bar)`` alone.
    """
    scale = (1 - step.alpha_bar).sqrt()
    if norm == "raw":
        return scale
    size = _norm(step.noise)
    if norm == "rms":
        size = size / step.noise[0].numel() ** 0.5
    return scale * size / _norm(gradient).clamp_min(1e-12)


def score_gradient(
    step: DenoisingStep,
    score: Callable[[Tensor, Tensor], Tensor],
    micro_batches: MicroBatches,
    work: str,
) -> Tensor:
    """Return the gradient (B, c, h, w) of ``score(x0, labels)`` (B,) with respect to x_t.

    The gradient with respect to x0, which needs most of the memory, is computed in chunks; ``work``
    is their name in MicroBatches.
    """

    def uphill(x0: Tensor, labels: Tensor) -> Tensor:
        x0 = x0.clone().requires_grad_(True)
        return _gradient(score(x0, labels).sum(), x0)

    return _gradient(
        step.x0, step.x_t, micro_batches.map(work, uphill, step.x0.detach(), step.labels)
    )


def noise_change(step: DenoisingStep, shift: Tensor) -> Tensor:
    """Return the change of the noise that moves the mean of the next latent by ``shift``.

    That mean is ``(x_t - beta / sqrt(1 - alpha_bar) noise) / sqrt(alpha)`` with alpha = 1 - beta
    (Ho et al., "Denoising diffusion probabilistic models", Eq. 11).
    """
    return -shift * ((1 - step.beta) * (1 - step.alpha_bar)).sqrt() / step.beta


def downhill(step: DenoisingStep, gradient: Tensor, strength: float, norm: str) -> Tensor:
    """Return the change of the noise (B, c, h, w) that lowers a cost with this gradient.

    ``raw`` moves the mean of the next latent by minus strength x gradient; ``relative`` makes the
    strength a share of the noise norm, see rho.
    """
    if norm == "raw":
        return noise_change(step, -strength * gradient)
    return strength * rho(step, gradient, norm) * gradient


def nearest_similarity(latents: Tensor, memory: Tensor) -> Tensor:
    """Return the greatest cosine similarity (B,) of latents (B, ...) to memory (B, M, ...)."""
    return F.cosine_similarity(latents.flatten(1)[:, None], memory.flatten(2), dim=2).amax(1)


def _gradient(value: Tensor, at: Tensor, weights: Tensor | None = None) -> Tensor:
    # The graph is kept, since all guidances of a step differentiate through the same x0.
    return torch.autograd.grad(value, at, weights, retain_graph=True)[0]


def _norm(x: Tensor) -> Tensor:
    """Return the L2 norm of every sample, shaped (B, 1, 1, 1)."""
    return x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
