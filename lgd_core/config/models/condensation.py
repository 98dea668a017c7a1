"""Keys of images whose pixels are optimised."""

from typing import Literal

from pydantic import Field

from lgd_core.config.models.base import Config, Count, Decay, Fraction, LearningRate, Natural


class NetworkConfig(Config):
    """The networks through which real and synthetic images are compared."""

    architecture: str = Field(default="ResNetAP-10", description="Architecture of the networks.")
    life: Count = Field(default=1, description="Steps until a new random network takes over.")
    warm_up: Natural = Field(
        default=0, description="Training steps on real images before the first comparison."
    )
    steps: Natural = Field(
        default=0, description="Training steps on real images after each step of the pixels."
    )
    batch: Count = Field(default=64, description="Real images per training step.")
    lr: LearningRate = Field(default=0.01, description="Learning rate of the training, by SGD.")
    momentum: Decay = Field(default=0.9, description="Momentum of the training.")
    weight_decay: Fraction = Field(default=5.0e-4, description="Weight decay of the training.")
    cutmix: bool = Field(default=True, description="Whether the training uses CutMix.")


class CondensationConfig(Config):
    """Pixel optimisation of condensed images, each increment on its own."""

    objective: Literal["distribution", "gradient"] = Field(
        default="distribution",
        description=(
            "What real and synthetic images of a class have in common to a network: distribution "
            "(mean of the embedding) or gradient (of the loss, in the convolutions' weights)."
        ),
    )
    factor: int = Field(
        default=1,
        ge=1,
        le=8,
        description=(
            "Multi-formation; a stored image holds factor x factor smaller ones, and networks "
            "train on each of these enlarged to its size. The image size must be a multiple."
        ),
    )
    steps: Count = Field(default=20_000, description="Steps in which the pixels move.")
    lr: float = Field(
        default=0.05, gt=0, le=1000, description="Learning rate of the pixels, which lie on [0, 1]."
    )
    momentum: Decay = Field(default=0.5, description="Momentum of the pixels.")
    real_batch: Count = Field(
        default=256,
        description="Real images per class and step, at most as many as the smallest class has.",
    )
    network: NetworkConfig = Field(default_factory=NetworkConfig)
