"""Keys of a distillation method: files in config/methods."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from lgd_core.config.models.base import (
    Absent,
    AdamWDecay,
    AdamWRate,
    Batch,
    Config,
    Count,
    Decay,
    DisagreementError,
    Fraction,
    LearningRate,
    Natural,
    Text,
    Weight,
    matching,
)
from lgd_core.config.models.guidance import GuidanceConfig, LearnabilityConfig

Section = TypeVar("Section", bound=Config)


class SeedConfig(Config):
    """Increment 0."""

    source: str = Field(
        default="prior",
        description=(
            "own (made as the later increments are, by a method without a learner), prior (drawn "
            "without guidance), real (random training images), folder (class folders of images), "
            "or the name of a method whose increment 0 is shared."
        ),
    )
    folder: str | None = Field(
        default=None,
        description="Class folders, named or sorted like the classes, when the source is folder.",
    )

    @model_validator(mode="after")
    def _folder_is_named(self) -> Self:
        if self.source == "folder" and not self.folder:
            raise DisagreementError("folder", f"found {self.folder!r}, expected a folder")
        return self


SchedulerName = Literal["ddpm", "ddim", "dpm-solver++"]
# First and last of some step indices.
StepWindow = Annotated[list[Natural], Field(min_length=2, max_length=2)]


def guided_steps(window: Sequence[int], every: int) -> range:
    """Return the step indices at which guidance acts, in the order in which they are reached."""
    first, last = window
    return range(last, first - 1, -every)


def inside(window: Sequence[int] | None, index: int) -> bool:
    """Whether a step index is in a window; None stands for all steps."""
    return window is None or window[0] <= index <= window[1]


class SamplerConfig(Config):
    """Sampling over respaced steps."""

    steps: int = Field(
        default=50, ge=2, le=1000, description="Sampling steps, spread evenly over the prior's own."
    )
    scheduler: SchedulerName = Field(
        default="ddpm",
        # Settings without the key are those of images that were drawn before there was one.
        exclude_if=lambda name: name == "ddpm",
        description=(
            "How a step follows from the predicted noise: ddpm (ancestral sampling, with new noise "
            "at every step), ddim (without new noise; steps have to divide the prior's), or "
            "dpm-solver++ (order 2, without new noise; for few steps)."
        ),
    )
    cfg_scale: float = Field(
        default=4.0,
        ge=0,
        le=100,
        description="Classifier-free guidance scale; 1 uses the class-conditional noise alone.",
    )
    cfg_channels: Count | None = Field(
        default=3,
        description="Latent channels that classifier-free guidance acts on; null means all.",
    )
    cfg_window: StepWindow | None = Field(
        default=None,
        # As for the scheduler.
        exclude_if=lambda window: window is None,
        description=(
            "First and last step index, counted down to 0, at which classifier-free guidance acts; "
            "elsewhere the class-conditional noise alone is computed, at half the cost. null means "
            "all steps."
        ),
    )
    classes_per_batch: Count | None = Field(
        default=None,
        description=(
            "Classes that share a batch; null means as many of a shard as max_batch allows, which "
            "is fastest. With 1, results are the same bit for bit for any number of shards; "
            "otherwise their last bits depend on what shares a batch. Noise never does."
        ),
    )

    @model_validator(mode="after")
    def _cfg_window_fits_the_steps(self) -> Self:
        first, last = self.cfg_window or (0, 0)
        if not first <= last < self.steps:
            raise DisagreementError(
                "cfg_window",
                f"found [{first}, {last}], expected first <= last < {self.steps}, the number of "
                "sampling steps",
            )
        return self

    def branches(self, index: int) -> int:
        """Return the forward passes of a step: two where classifier-free guidance acts."""
        return 2 if self.cfg_scale != 1 and inside(self.cfg_window, index) else 1


class GuidingConfig(Config):
    """What the guidances of a method have in common."""

    decoder: Literal["full", "small"] = Field(
        default="full",
        description=(
            "Decoder of the images whose scores are differentiated: the prior's own, or "
            "prior.small_decoder of the data set. Stored images and their scores are always those "
            "of the prior's own."
        ),
    )

    every: Count = Field(
        default=1,
        description=(
            "Guidance acts at every so many steps of the window, from its last index on, which is "
            "reached first. Strengths are not rescaled: with fewer guided steps the sum of all "
            "changes is smaller."
        ),
    )


class FinetuneConfig(Config):
    """Tuning of a prior by the minimax criteria; what is left out has the published value.

    With both of their weights at 0 and a sparsity it is tuned to draw sparse latents.
    """

    seed: Natural = Field(default=0, description="Seed of the tuning.")
    steps: Count = Field(default=12_000, description="Training steps.")
    batch: Count = Field(default=8, description="Images per step.")
    classes_per_phase: Count | None = Field(
        default=20,
        description=(
            "Most classes that the prior is tuned for at a time, contiguous in label order; every "
            "phase starts from the data set's prior and takes all `steps`. null means all classes "
            "in one phase."
        ),
    )
    lr: LearningRate = Field(default=1.0e-3, description="Learning rate of AdamW, constant.")
    weight_decay: AdamWDecay = 0.0
    memory: Count = Field(
        default=64,
        description=(
            "Latest latents per class, real ones and drawn ones, that the criteria look at."
        ),
    )
    representativeness: Weight = Field(
        default=0.002, description="Weight of the distance to the farthest real latent in memory."
    )
    diversity: Weight = Field(
        default=0.008, description="Weight of the similarity to the nearest drawn latent in memory."
    )
    sparsity: Weight = Field(
        default=0.0,
        exclude_if=lambda weight: weight == 0,
        description="Weight of the mean absolute value of the predicted clean latents.",
    )
    ema_decay: Decay = Field(
        default=0.9999,
        description=(
            "Decay of the weight average that is kept, which starts from the prior's weights."
        ),
    )
    label_dropout: Fraction = Field(
        default=0.1, description="Share of labels replaced by the null class."
    )
    trained: list[Text] = Field(
        default=["*.bias", "*norm?.weight", "*class_embedder*"],
        min_length=1,
        description=(
            "Patterns of the names of the transformer's parameters that are tuned, all others "
            "stay: biases, affine norms, label embeddings."
        ),
    )


class LearnerConfig(Config):
    """The learner, continued from increment to increment."""

    architecture: str = Field(default="ResNetAP-10", description="Architecture of the learner.")
    protocol: str | None = Field(
        default=None,
        description=(
            "Name of a file in config/protocols; the learner then trains by that protocol on the "
            "set so far: its labels, batch rule, optimiser, schedule, augmentation and epochs, and "
            "of the keys below only ema_decay acts. Where the protocol has batches by images per "
            "class, an amount between two takes the next smaller one's, one below all the "
            "smallest's. null trains to the plateau by the keys below."
        ),
    )
    lr: AdamWRate = 1.0e-3
    weight_decay: AdamWDecay = 0.01
    batch: Batch = 64
    ema_decay: Decay = Field(
        default=0.999, description="Decay of the weight average, which guides and scores."
    )
    patience: Count = Field(
        default=300, description="Epochs without a lower loss that end the plateau phase."
    )
    min_delta: Decay = Field(
        default=0.0, description="Share by which a loss must be lower to count as lower."
    )
    max_epochs: Count = Field(default=3000, description="Most epochs of the plateau phase.")
    squeeze_epochs: Natural = Field(
        default=300, description="Epochs of cosine decay after the plateau."
    )
    min_lr_ratio: Fraction = Field(
        default=0.01, description="Last learning rate of the squeeze as a share of the first."
    )
    monitor: Literal["training", "validation"] = Field(
        default="training",
        description=(
            "Loss that the plateau is read from; validation is held out of the real training "
            "images, never of the test set."
        ),
    )
    cutmix: bool = Field(default=True, description="Whether the learner trains with CutMix.")


class MethodConfig(Config):
    """A distillation method, as a recipe."""

    description: str = Field(default="", description="One line for tables and the report.")
    extends: str | Absent = Field(
        default=None, description="The method whose keys this recipe starts from."
    )
    # Plug-ins say which sources there are, and add sections: see config.complete.
    source: str = "prior"
    through_autoencoder: bool = Field(
        default=False,
        description=(
            "Not of the prior's own; store images as the prior's autoencoder gives them back."
        ),
    )
    ipc_per_increment: Count = Field(
        default=10, description="Images per class of one increment (N)."
    )
    seed: SeedConfig = Field(default_factory=SeedConfig)
    sampler: SamplerConfig = Field(default_factory=SamplerConfig)
    window: StepWindow = Field(
        default=[10, 45],
        description="First and last step index, counted down to 0, at which guidance acts.",
    )
    guidance: GuidingConfig = Field(
        default_factory=GuidingConfig, exclude_if=lambda part: part == GuidingConfig()
    )
    candidates: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Candidates per position (kappa), among which `select` chooses.",
    )
    real_candidates: Natural | Annotated[str, matching("^all$", "a number or all")] = Field(
        default=0,
        description=(
            "Of the candidates of a position, how many are random training images that no other "
            "candidate is; the others are drawn from the prior. With all, nothing is drawn."
        ),
    )
    start_step: Natural | None = Field(
        default=None,
        description=(
            "Step index, counted down to 0, at which sampling starts, from the latent of a random "
            "training image with the noise of that step; null starts from noise alone."
        ),
    )
    # Plug-ins say which there are.
    select: str = "learnability"
    weights: Literal["clusters"] | None = Field(
        default=None,
        exclude_if=lambda weights: weights is None,
        description=(
            "Weight of an image in the loss of those who learn the set: null (all alike), or "
            "clusters (by the number of real latents of the mode that it is guided to)."
        ),
    )
    learnability: LearnabilityConfig = Field(default_factory=LearnabilityConfig)
    prior: str | None = Field(
        default=None,
        description=(
            "The prior that images are drawn from: null (the data set's), own (tuned as finetune "
            "says), or the name of the method whose tuned prior is shared."
        ),
    )
    finetune: FinetuneConfig | None = Field(
        default=None,
        description=(
            "Tuning of the data set's prior by the minimax criteria; null means none. An empty "
            "mapping takes the published values."
        ),
    )
    learner: LearnerConfig = Field(default_factory=LearnerConfig)

    @property
    def real_per_position(self) -> int:
        """How many candidates of a position are real images."""
        told = self.real_candidates
        return self.candidates if isinstance(told, str) else told

    @property
    def sampled_steps(self) -> range:
        """The indices of the sampler's steps, in no order."""
        return range(self.sampler.steps if self.start_step is None else self.start_step + 1)

    @property
    def guided_steps(self) -> list[int]:
        """The step indices at which guidance acts, in the order in which they are reached."""
        steps = guided_steps(self.window, self.guidance.every)
        return [index for index in steps if index in self.sampled_steps]

    @property
    def guidances(self) -> dict[str, GuidanceConfig]:
        """The guidances that a recipe has keys for, by name, whether they act or not."""
        return {name: part for name, part in self if isinstance(part, GuidanceConfig)}

    def section(self, model: type[Section]) -> Section:
        """Return the section of a guidance or a source of images, by its model."""
        return next(part for _, part in self if isinstance(part, model))
