"""Guided sampling: positions of LGD, and the parts of a guided step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from torch import Tensor

from benchmarks.measuring import Comparison, Machine, greatest_difference
from benchmarks.networks import SCALES, Scale, prior_of, scorer_of, small_decoder_of
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import generator
from lgd_core.config.models.guidance import LearnabilityConfig
from lgd_core.diffusion.guidance import DenoisingStep, DeviationGuidance
from lgd_core.diffusion.priors import Prior
from lgd_core.diffusion.sampler import Sampling, predict_noise
from lgd_core.diffusion.small_decoder import SmallDecoder
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.drawing import draw
from lgd_core.distill.guidances.deviation import DeviationConfig
from lgd_core.distill.spec import IncrementSpec

KEY = (0, 1)
MEMORY = 10  # latents per class of the increment before


@dataclass(frozen=True)
class Position:
    """One position of an increment: its networks, the latents already in the set, its recipe.

    Gradients of the score go through ``small_decoder``, where there is one.
    """

    scale: Scale
    prior: Prior
    scorer: Scorer
    memory: Tensor
    small_decoder: SmallDecoder | None = None

    def ours(self, classes: int) -> dict[str, Tensor]:
        """Draw the position for the first so many classes, as a job does."""
        spec = IncrementSpec(
            classes=list(range(classes)),
            prior_labels=list(range(self.scale.classes)),
            positions=1,
            candidates=self.scale.candidates,
            sampling=Sampling(self.scale.steps, self.scale.cfg_scale, None, self.scale.window),
            key=KEY,
            classes_per_batch=None,
            guidance={
                "learnability": LearnabilityConfig(
                    strength=self.scale.strengths[0], norm=self.scale.norms[0]
                ),
                "deviation": DeviationConfig(
                    strength=self.scale.strengths[1], norm=self.scale.norms[1]
                ),
            },
        )
        artifacts = Artifacts(
            self.scorer, memory=self.memory[:classes], small_decoder=self.small_decoder
        )
        return draw(self.prior, artifacts, spec, Checkpoint(None))[0]

    def plain(self, classes: int) -> dict[str, Tensor]:
        """Draw the same candidates one after another, each by itself, as public codes do."""
        drawn = [
            [self.plain_candidate(label, candidate) for candidate in range(self.scale.candidates)]
            for label in range(classes)
        ]
        names = ("latents", "scores")
        return {
            name: torch.stack([torch.cat([one[i] for one in row]) for row in drawn])[:, None]
            for i, name in enumerate(names)
        }

    def plain_candidate(self, label: int, candidate: int) -> tuple[Tensor, Tensor]:
        """Return the latent (1, c, h, w) and the score (1,) of one candidate."""
        prior, scale, device = self.prior, self.scale, self.prior.device
        rng = generator(*KEY, label, 0, candidate)
        scheduler = DDPMScheduler.from_config(
            prior.scheduler_config, timestep_spacing="linspace", clip_sample=False
        )
        scheduler.set_timesteps(scale.steps)
        y = torch.tensor([label], device=device)
        x = torch.randn(1, *prior.latent_shape, generator=rng).to(device)
        for index, t in zip(reversed(range(scale.steps)), scheduler.timesteps, strict=True):
            x = x.detach().requires_grad_()
            output = self.plain_output(x, t.to(device), y)
            noise = output[:, : x.shape[1]]
            if scale.window[0] <= index <= scale.window[1]:
                noise = noise + self.plain_guidance(x, noise, scheduler.alphas_cumprod[t], y)
            output = torch.cat([noise, output[:, x.shape[1] :]], 1)
            with torch.no_grad():
                x = scheduler.step(output, t, x, generator=rng).prev_sample
        with torch.no_grad():
            image = (self.plain_image(x).clamp(0, 1) * 255).round() / 255
            return x.cpu(), self.plain_score(image, y).cpu()

    @torch.no_grad()
    def plain_output(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Return the transformer's output after classifier-free guidance of all channels."""
        channels, scale = x.shape[1], self.scale.cfg_scale
        conditional = self.prior.transformer(x, t.expand(1), y).sample
        if scale == 1.0:
            return conditional
        null = self.prior.transformer(x, t.expand(1), torch.full_like(y, self.prior.classes))
        noise = null.sample + scale * (conditional - null.sample)
        return torch.cat([noise[:, :channels], conditional[:, channels:]], 1)

    def plain_image(self, x0: Tensor) -> Tensor:
        """Return the image on [0, 1] of a scaled latent."""
        autoencoder = self.prior.autoencoder
        return autoencoder.decode(x0 / autoencoder.config["scaling_factor"]).sample / 2 + 0.5

    def plain_score(self, image: Tensor, y: Tensor) -> Tensor:
        """Return the learnability of an image, Eq. 7."""
        seen = self.scorer.preprocess(image)
        losses = [
            F.cross_entropy(network(seen), y, reduction="none")
            for network in (self.scorer.learner, self.scorer.reference)
        ]
        return losses[0] - self.scorer.reference_weight * losses[1]

    def plain_guidance(self, x: Tensor, noise: Tensor, alpha: Tensor, y: Tensor) -> Tensor:
        """Return the change of the noise by Eq. 8 and by deviation from the nearest latent."""
        x0 = (x - (1 - alpha).sqrt() * noise) / alpha.sqrt()
        size = (1 - alpha).sqrt() * noise.norm()
        decode = self.small_decoder or self.plain_image
        score = self.plain_score(decode(x0), y)
        (up,) = torch.autograd.grad(score.sum(), x, retain_graph=True)
        known = self.memory[y.cpu()].flatten(2).to(x.device)
        similarity = F.cosine_similarity(x0.flatten(1)[:, None], known, dim=2).amax(1)
        (near,) = torch.autograd.grad(similarity.sum(), x)
        rms = noise.numel() ** 0.5 if self.scale.norms[0] == "rms" else 1.0
        strength, away = self.scale.strengths
        if self.scale.norms[1] == "relative":
            away = away * size / near.norm()
        return away * near - strength * size / rms / up.norm() * up


def position(machine: Machine, max_batch: int, half: bool) -> Position:
    """Return a position of the machine's size."""
    prior = prior_of(machine.size, machine.device, max_batch, half)
    scale = SCALES[machine.size]
    shape = (scale.classes, MEMORY, *prior.latent_shape)
    memory = torch.randn(shape, generator=generator("memory"))
    return Position(scale, prior, scorer_of(scale, machine.device), memory)


def differ(ours: dict[str, Tensor], plain: dict[str, Tensor]) -> float:
    """Return the greatest difference of latents and scores; infinite where another one is kept."""
    if not torch.equal(ours["scores"].argmax(-1), plain["scores"].argmax(-1)):
        return float("inf")
    return greatest_difference(
        [ours["latents"], ours["scores"]], [plain["latents"], plain["scores"]]
    )


def comparisons(at: Position, exact: Position, size: str) -> list[Comparison]:
    """Compare drawing a position for all classes with both decoders.

    ``exact`` has the plain way's precision. The plain way is that of public codes, through the full
    decoder; with the small one, results are compared with those of the same way through it.
    """
    small = small_decoder_of(size, at.prior)
    quick = replace(at, small_decoder=small)
    quick_exact = replace(exact, small_decoder=replace(small, half=False))
    goals = (10.0, None) if at.prior.device.type == "cuda" else (3.5, 5.0)
    return [
        _comparison("guided sampling", at, exact, exact, goals[0]),
        _comparison("guided sampling, small decoder", quick, quick_exact, exact, goals[1]),
    ]


def _comparison(
    name: str, at: Position, exact: Position, plain: Position, goal: float | None
) -> Comparison:
    classes = at.scale.classes
    return Comparison(
        name=name,
        unit="kept image",
        plain=lambda: plain.plain(1),
        plain_units=1,
        ours=lambda: at.ours(classes),
        units=classes,
        checked=(lambda: exact.ours(2), lambda: exact.plain(2)),
        differ=differ,
        tolerance=1e-2,
        counted=lambda: exact.ours(classes),
        goal=goal,
    )


@dataclass(frozen=True)
class Parts:
    """The parts of drawing a position, each for all candidates in one batch.

    ``x`` (N, c, h, w) are latents, ``labels`` (N,) their classes.
    """

    at: Position
    x: Tensor
    labels: Tensor

    def denoise(self) -> Tensor:
        """Predict the noise, with classifier-free guidance."""
        with torch.no_grad():
            return predict_noise(
                self.at.prior, self.x, 500, self.labels, self.scale.cfg_scale, None
            )

    def decode(self) -> Tensor:
        """Decode latents, without gradients."""
        with torch.no_grad():
            return self.at.prior.micro_batches.map("guidance", self.at.prior.decode, self.x)

    def through_decoder(self) -> Tensor:
        """Differentiate the sum of decoded pixels."""
        decode = self.at.prior.decode
        return self.uphill("guidance", lambda x0, labels: decode(x0).flatten(1).sum(1), self.x)

    def through_networks(self, images: Tensor) -> Tensor:
        """Differentiate the learnability of images on [0, 1]."""
        return self.uphill("learner", self.at.scorer, images)

    def deviate(self) -> Tensor:
        """Return the change of the noise by deviation from the nearest latent."""
        deviation = DeviationGuidance(
            self.at.memory.to(self.x.device), self.scale.strengths[1], self.scale.norms[1]
        )
        x_t, alpha, beta = self.x.clone().requires_grad_(True), *torch.tensor([0.5, 0.1])
        step = DenoisingStep(x_t, self.x, 2 * x_t, alpha, self.labels, beta, beta, self.labels)
        return deviation(step)

    def select(self) -> Tensor:
        """Decode final images as they are stored, and score them."""
        stored = self.at.prior.decode_images(self.x).to(self.x.device)
        with torch.inference_mode():
            return self.at.scorer(stored.float() / 255, self.labels)

    def uphill(self, work: str, score: Callable[[Tensor, Tensor], Tensor], at: Tensor) -> Tensor:
        """Return the gradient of a score (N,) with respect to what it scores."""

        def gradient(at: Tensor, labels: Tensor) -> Tensor:
            at = at.clone().requires_grad_(True)
            return torch.autograd.grad(score(at, labels).sum(), at)[0]

        return self.at.prior.micro_batches.map(work, gradient, at, self.labels)

    @property
    def scale(self) -> Scale:
        return self.at.scale


def parts(at: Position, machine: Machine) -> dict[str, Any]:
    """Return a record of the seconds per kept image of each part.

    The rest of a position's time is the scheduler's step, the noise, and what binds the parts.
    """
    scale, device = at.scale, machine.device
    guided = scale.window[1] - scale.window[0] + 1
    labels = torch.arange(scale.classes, device=device).repeat_interleave(scale.candidates)
    x = torch.randn(len(labels), *at.prior.latent_shape, generator=generator("x")).to(device)
    drawn = Parts(at, x, labels)
    images = drawn.decode()

    def timed(work: Callable[[], Tensor], times: int) -> float:
        machine.seconds(work)
        seconds = median(machine.seconds(work)[0] for _ in range(3 * machine.repeats))
        return seconds * times / scale.classes

    forward = timed(drawn.decode, guided)
    seconds = {
        "transformer": timed(drawn.denoise, scale.steps),
        "decoder forward": forward,
        "decoder backward": timed(drawn.through_decoder, guided) - forward,
        "learner and reference": timed(lambda: drawn.through_networks(images), guided),
        "deviation": timed(drawn.deviate, guided),
        "selection": timed(drawn.select, 1),
    }
    return machine.record("parts of guided sampling", unit="kept image", seconds=seconds)
