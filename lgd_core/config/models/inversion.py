"""Keys of images that are optimised until a trained network takes them for real ones."""

from pydantic import Field

from lgd_core.config.models.base import Config, Count, Decay, Natural, PositiveFraction, Weight


class InversionConfig(Config):
    """Inversion of the reference model, which must have batch normalisation."""

    steps: Count = Field(default=4000, description="Steps in which the pixels move.")
    lr: float = Field(
        default=0.25,
        gt=0,
        le=100,
        description="Highest learning rate of Adam on normalised pixels, with a cosine to 0.",
    )
    momentum: Decay = Field(default=0.5, description="First beta of Adam.")
    batch: Count = Field(
        default=100, description="Images of different classes that are optimised together."
    )
    statistics_weight: Weight = Field(
        default=0.01,
        description="Weight of the distance from the running statistics, beside cross-entropy.",
    )
    first_layer: Weight = Field(
        default=10.0, description="How many times the first layer's distance counts."
    )
    crop_scale: list[PositiveFraction] = Field(
        default=[0.08, 1.0],
        min_length=2,
        max_length=2,
        description="Least and greatest share of the area that a random crop keeps at each step.",
    )
    roll: Natural = Field(
        default=32, description="Most pixels that images are rolled by at each step, both ways."
    )
