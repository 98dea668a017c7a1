"""Keys of a method whose images come from elsewhere, and what such images say of themselves."""

from pydantic import Field

from lgd_core.config.models.base import Config, Count
from lgd_core.config.models.images import NormaliseConfig


class ElsewhereConfig(Config):
    """The set of a method whose source is external."""

    set: str | None = Field(default=None, description="Name under external of the run.")
    factor: Count = Field(
        default=1,
        description="Each stored image holds factor x factor smaller ones, as in that entry.",
    )


class Said(Config):
    """What is used of the provenance of a set from elsewhere, None where it does not say."""

    formation: int | None = Field(default=None, ge=1, le=16)
    normalise: NormaliseConfig | None = None
