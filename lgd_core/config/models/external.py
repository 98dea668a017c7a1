"""Keys of a method whose images come from elsewhere."""

from pydantic import Field

from lgd_core.config.models.base import Config, Count


class ElsewhereConfig(Config):
    """The set of a method whose source is external."""

    set: str | None = Field(default=None, description="Name under external of the run.")
    factor: Count = Field(
        default=1,
        description="Each stored image holds factor x factor smaller ones, as in that entry.",
    )
