"""Keys of a distillation method: files in config/methods."""

from typing import Annotated, Literal, Self

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
)

Strength = Annotated[float, Field(ge=0, le=1000)]
# By what a guidance is scaled.
Norm = Literal["rms", "relative"]


class SeedConfig(Config):
    """Increment 0."""

    source: str = Field(
        "prior",
        description=(
            "own (made as the later increments are, by a method without a learner), prior (drawn "
            "without guidance), real (random training images), folder (class folders of images), "
            "or the name of a method whose increment 0 is shared."
        ),
    )
    folder: str | None = Field(
        None,
        description="Class folders, named or sorted like the classes, when the source is folder.",
    )

    @model_validator(mode="after")
    def _folder_is_named(self) -> Self:
        if self.source == "folder" and not self.folder:
            raise DisagreementError("folder", f"found {self.folder!r}, expected a folder")
        return self


class SamplerConfig(Config):
    """Ancestral sampling (DDPM) over respaced steps."""

    steps: int = Field(
        50, ge=2, le=1000, description="Sampling steps, spread evenly over the prior's own."
    )
    cfg_scale: float = Field(
        4.0,
        ge=0,
        le=100,
        description="Classifier-free guidance scale; 1 uses the class-conditional noise alone.",
    )
    cfg_channels: Count | None = Field(
        3,
        description="Latent channels that classifier-free guidance acts on; null means all.",
    )
    classes_per_batch: Count | None = Field(
        1,
        description=(
            "Classes that share a batch; null means all of a shard. With 1, results are the same "
            "bit for bit for any number of shards; more is faster for small priors, and differs "
            "in the last bit."
        ),
    )


class GuidanceConfig(Config):
    """Guidance of the samples; a section of a method is one if it has a strength."""

    strength: Strength = Field(0.0, description="Guidance strength; 0 turns it off.")

    @property
    def acts(self) -> bool:
        """Whether the guidance has any strength, at one increment or at all of them."""
        return bool(self.strength)

    def strength_at(self, increment: int) -> float:
        """Return the strength at an increment."""
        return self.strength

    def at_increment(self, increment: int) -> Self:
        """Return the guidance with its strength at an increment."""
        return self.model_copy(update={"strength": self.strength_at(increment)})


class LearnabilityConfig(GuidanceConfig):
    """Learnability score and guidance (Eqs. 7 and 8)."""

    strength: Strength = Field(
        0.0, description="Guidance strength (lambda); 0 turns guidance off, not the score."
    )
    strength_by_increment: list[Strength] = Field(
        [],
        description="Strength of increments 1, 2, ...; the last one goes on. Empty means strength.",
    )
    norm: Norm = Field(
        "rms",
        description=(
            "rms scales by the root mean square of the noise, as the paper's numbers need; "
            "relative makes the strength a share of the noise norm, whatever the latent's size."
        ),
    )
    reference_weight: float = Field(
        0.5, ge=0, le=10, description="Weight of the reference's loss in the score (omega)."
    )
    gradient: Literal["tweedie", "full"] = Field(
        "tweedie",
        description="tweedie holds the noise constant; full also differentiates the transformer.",
    )

    @property
    def acts(self) -> bool:
        return any(self.strength_by_increment or [self.strength])

    def strength_at(self, increment: int) -> float:
        """Return the strength at an increment; a schedule begins with increment 1."""
        schedule = self.strength_by_increment
        if not schedule:
            return self.strength
        return schedule[max(0, min(increment, len(schedule)) - 1)]

    def at_increment(self, increment: int) -> Self:
        # Strengths of other increments are no reason to draw this one again.
        strength = self.strength_at(increment)
        return self.model_copy(update={"strength": strength, "strength_by_increment": []})


class DeviationConfig(GuidanceConfig):
    """Guidance away from the nearest image already in the set."""

    strength: Annotated[float, Field(ge=0, le=100_000)] = Field(
        0.0, description="Guidance strength (gamma); 0 turns it off."
    )
    norm: Literal["raw", "relative"] = Field(
        "raw",
        description="raw uses the gradient as it is, like the paper; relative as for learnability.",
    )
    memory: Count | None = Field(
        None, description="Latest latents per class that count as memory; null keeps all."
    )


class InfluenceConfig(GuidanceConfig):
    """Guidance towards images whose gradient resembles that of their class's real images (IGD,
    Chen et al., ICLR 2025); the data set's influence says how those gradients are made.
    """

    strength: Strength = Field(
        0.0, description="Guidance strength; 0 turns it off, and no surrogate is trained."
    )
    norm: Norm = Field("rms", description="rms or relative, as for learnability.")


class NetworkConfig(Config):
    """The networks through which real and synthetic images are compared."""

    architecture: str = Field("ResNetAP-10", description="Architecture of the networks.")
    life: Count = Field(1, description="Steps until a new random network takes over.")
    warm_up: Natural = Field(
        0, description="Training steps on real images before the first comparison."
    )
    steps: Natural = Field(
        0, description="Training steps on real images after each step of the pixels."
    )
    batch: Count = Field(64, description="Real images per training step.")
    lr: LearningRate = Field(0.01, description="Learning rate of the training, by SGD.")
    momentum: Decay = Field(0.9, description="Momentum of the training.")
    weight_decay: Fraction = Field(5.0e-4, description="Weight decay of the training.")
    cutmix: bool = Field(True, description="Whether the training uses CutMix.")


class CondensationConfig(Config):
    """Pixel optimisation of condensed images, each increment on its own."""

    objective: Literal["distribution", "gradient"] = Field(
        "distribution",
        description=(
            "What real and synthetic images of a class have in common to a network: distribution "
            "(mean of the embedding) or gradient (of the loss, in the convolutions' weights)."
        ),
    )
    factor: int = Field(
        1,
        ge=1,
        le=8,
        description=(
            "Multi-formation; a stored image holds factor x factor smaller ones, and networks "
            "train on each of these enlarged to its size. The image size must be a multiple."
        ),
    )
    steps: Count = Field(20_000, description="Steps in which the pixels move.")
    lr: float = Field(
        0.05, gt=0, le=1000, description="Learning rate of the pixels, which lie on [0, 1]."
    )
    momentum: Decay = Field(0.5, description="Momentum of the pixels.")
    real_batch: Count = Field(
        256,
        description="Real images per class and step, at most as many as the smallest class has.",
    )
    network: NetworkConfig = Field(default_factory=NetworkConfig)


class ModesConfig(GuidanceConfig):
    """Guidance of each image to a mode of its class's real latents, as in MGD3."""

    strength: Strength = Field(
        0.0, description="Guidance strength, a share of the step's own noise; 0 turns it off."
    )
    clusters: Count | None = Field(
        None,
        description=(
            "Clusters per class that all increments share, image j going to cluster j modulo "
            "their number. Null clusters anew for every increment, into as many clusters as it "
            "has images."
        ),
    )


class FinetuneConfig(Config):
    """Tuning of a prior by the minimax criteria; what is left out has the published value."""

    seed: Natural = Field(0, description="Seed of the tuning.")
    steps: Count = Field(12_000, description="Training steps.")
    batch: Count = Field(8, description="Images per step.")
    lr: LearningRate = Field(1.0e-3, description="Learning rate of AdamW, constant.")
    weight_decay: AdamWDecay = 0.0
    memory: Count = Field(
        64,
        description=(
            "Latest latents per class, real ones and drawn ones, that the criteria look at."
        ),
    )
    representativeness: Weight = Field(
        0.002, description="Weight of the distance to the farthest real latent in memory."
    )
    diversity: Weight = Field(
        0.008, description="Weight of the similarity to the nearest drawn latent in memory."
    )
    ema_decay: Decay = Field(
        0.9999,
        description=(
            "Decay of the weight average that is kept, which starts from the prior's weights."
        ),
    )
    label_dropout: Fraction = Field(0.1, description="Share of labels replaced by the null class.")
    trained: list[Text] = Field(
        ["*.bias", "*norm?.weight", "*class_embedder*"],
        min_length=1,
        description=(
            "Patterns of the names of the transformer's parameters that are tuned, all others "
            "stay: biases, affine norms, label embeddings."
        ),
    )


class LearnerConfig(Config):
    """The learner, continued from increment to increment."""

    architecture: str = Field("ResNetAP-10", description="Architecture of the learner.")
    lr: AdamWRate = 1.0e-3
    weight_decay: AdamWDecay = 0.01
    batch: Batch = 64
    ema_decay: Decay = Field(
        0.999, description="Decay of the weight average, which guides and scores."
    )
    patience: Count = Field(
        300, description="Epochs without a lower loss that end the plateau phase."
    )
    min_delta: Decay = Field(
        0.0, description="Share by which a loss must be lower to count as lower."
    )
    max_epochs: Count = Field(3000, description="Most epochs of the plateau phase.")
    squeeze_epochs: Natural = Field(300, description="Epochs of cosine decay after the plateau.")
    min_lr_ratio: Fraction = Field(
        0.01, description="Last learning rate of the squeeze as a share of the first."
    )
    monitor: Literal["training", "validation"] = Field(
        "training",
        description=(
            "Loss that the plateau is read from; validation is held out of the real training "
            "images, never of the test set."
        ),
    )
    cutmix: bool = Field(True, description="Whether the learner trains with CutMix.")


class MethodConfig(Config):
    """A distillation method, as a recipe."""

    description: str = Field("", description="One line for tables and the report.")
    extends: str | Absent = Field(
        None, description="The method whose keys this recipe starts from."
    )
    source: Literal["prior", "real", "herding", "kcenter", "condensed"] = Field(
        "prior",
        description=(
            "Where the images of increments 1, 2, ... come from: prior (sampled), real (random "
            "training images), herding or kcenter (training images chosen in the reference "
            "model's features), condensed (pixels optimised from random training images)."
        ),
    )
    through_autoencoder: bool = Field(
        False,
        description=(
            "Not of the prior's own; store images as the prior's autoencoder gives them back."
        ),
    )
    ipc_per_increment: Count = Field(10, description="Images per class of one increment (N).")
    seed: SeedConfig = Field(default_factory=SeedConfig)
    sampler: SamplerConfig = Field(default_factory=SamplerConfig)
    window: list[Natural] = Field(
        [10, 45],
        min_length=2,
        max_length=2,
        description="First and last step index, counted down to 0, at which guidance acts.",
    )
    candidates: int = Field(
        1,
        ge=1,
        le=1000,
        description="Candidates per position (kappa); the one of highest learnability is kept.",
    )
    learnability: LearnabilityConfig = Field(default_factory=LearnabilityConfig)
    deviation: DeviationConfig = Field(default_factory=DeviationConfig)
    influence: InfluenceConfig = Field(default_factory=InfluenceConfig)
    condensation: CondensationConfig = Field(default_factory=CondensationConfig)
    modes: ModesConfig = Field(default_factory=ModesConfig)
    prior: str | None = Field(
        None,
        description=(
            "The prior that images are drawn from: null (the data set's), own (tuned as finetune "
            "says), or the name of the method whose tuned prior is shared."
        ),
    )
    finetune: FinetuneConfig | None = Field(
        None,
        description=(
            "Tuning of the data set's prior by the minimax criteria; null means none. An empty "
            "mapping takes the published values."
        ),
    )
    learner: LearnerConfig = Field(default_factory=LearnerConfig)

    @property
    def guidances(self) -> dict[str, GuidanceConfig]:
        """The guidances that a recipe has keys for, by name, whether they act or not."""
        return {name: part for name, part in self if isinstance(part, GuidanceConfig)}

    @property
    def is_guided(self) -> bool:
        """Whether any guidance beside the classifier-free one acts while the method samples."""
        return any(guidance.acts for guidance in self.guidances.values())

    def needs_learner(self, increment: int | None = None) -> bool:
        """Whether candidates of an increment, or any of them, are guided or ranked by a learner."""
        learnability = self.learnability
        guided = learnability.acts if increment is None else learnability.strength_at(increment)
        return self.source == "prior" and (self.candidates > 1 or bool(guided))

    @model_validator(mode="after")
    def _window_fits_the_steps(self) -> Self:
        (first, last), steps = self.window, self.sampler.steps
        # Without guidance the window is of no use, and the default need not fit the steps.
        if self.is_guided and not first <= last < steps:
            raise DisagreementError(
                "window",
                f"found [{first}, {last}], expected first <= last < {steps}, "
                "the number of sampling steps",
            )
        return self

    @model_validator(mode="after")
    def _seed_needs_no_learner(self) -> Self:
        if self.seed.source == "own" and self.needs_learner():
            raise DisagreementError(
                "seed.source",
                "found own, expected prior, real, folder or a method, since "
                "there is no learner before increment 0",
            )
        return self
