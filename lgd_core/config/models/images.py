"""Keys of a data set that say what its classes and images are."""

from typing import Annotated, Literal

from pydantic import Field

from lgd_core.config.models.base import Absent, Config, Fraction, Line, PositiveFraction, matching

# An image's height and width in pixels.
Side = Annotated[int, Field(ge=4, le=1024)]


class ClassConfig(Config):
    """One of ImageNet's classes."""

    wnid: Annotated[str, matching("^n[0-9]{8}$", "n and eight digits")] = Field(
        description="WordNet id, which is also the name of the class's folder.",
    )
    index: Annotated[int, Field(ge=0, le=999)] | Absent = Field(
        default=None,
        description="Index among ImageNet's 1000 classes, for the reader; checked, not needed.",
    )
    name: Line = Field(description="Name in tables and figures.")


class StoredImageConfig(Config):
    """Images as they are stored."""

    size: Side = Field(
        description="Height and width in pixels of distilled images, and of what the prior draws.",
    )
    channels: Literal[1, 3] = Field(description="1 for grey, 3 for colour.")


class ImageConfig(StoredImageConfig):
    """Images as they are stored, and as networks see them."""

    train_size: Side | None = Field(
        default=None,
        description="Height and width that networks train and test at; null means size.",
    )


class NormaliseConfig(Config):
    """Per-channel mean and standard deviation that networks see, on [0, 1]."""

    mean: list[Fraction] = Field(description="Mean per channel.")
    std: list[PositiveFraction] = Field(description="Standard deviation per channel.")
