"""Keys of ``source:`` that all kinds of data sets have; dataset.SourceConfig has all others too."""

from pydantic import Field

from lgd_core.config.models.base import Config


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
