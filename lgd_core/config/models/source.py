"""Keys of ``source:`` that all kinds of data sets have; dataset.SourceConfig has all others too."""

from pydantic import Field

from lgd_core.config.models.base import Config
from lgd_core.config.models.images import Side


class SourceKeys(Config):
    """Where the real images come from."""

    kind: str = Field(description="What the real images are.")
    folder: str | None = Field(default=None, description="A local copy.")
    skip_broken: bool = Field(
        default=False,
        description="Whether files that do not decode are left out, and listed, or stop the run.",
    )
    validation_fraction: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description=(
            "Share of every class's training images, or of families that are never split (of "
            "fonts), held out for tuning."
        ),
    )
    stream: bool = Field(
        default=False,
        description=(
            "Whether training images are decoded from their files whenever they are read, in "
            "parallel, instead of once into an array; for data sets of class folders whose array "
            "would be too large, such as the 252 GB of ImageNet-1K."
        ),
    )
    test_resize: Side | None = Field(
        default=None,
        description=(
            "Length to which the short side of held-out and test images is resized before their "
            "centre is cut out; null means the size that networks see, so that only the long side "
            "is cut. RDED tests at 224 pixels of 256."
        ),
    )
