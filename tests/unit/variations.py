"""Variations of models, for tests of what a key decides."""

from typing import TypeVar

from lgd_core.config.models.base import Config
from lgd_core.config.schema import merge

Model = TypeVar("Model", bound=Config)


def changed(model: Model, **parts: object) -> Model:
    """Return a model with some keys changed, mappings key by key, and validated anew."""
    return model.model_validate(merge(model.model_dump(by_alias=True), parts))
