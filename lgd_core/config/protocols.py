"""How a distilled set can be evaluated: evaluation protocols, each a module of its own.

A module of `lgd_core.evaluation.protocols` offers a `Protocol` as ``PROTOCOL``, and is known by its
own name. Importing it must not import PyTorch: functions that need it import it themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, create_model

from lgd_core.config.models.base import Config
from lgd_core.config.plugins import discover


@dataclass(frozen=True)
class Protocol:
    """A way to train a student from scratch on a distilled set and to test it.

    ``train`` takes a `students.Lesson` and returns accuracies in percent: ``top1`` after the last
    epoch and ``best_top1`` on the test set, ``validation_top1`` on held-out real images, or None.
    """

    description: str
    train: Callable[[Any], dict[str, float | None]]


class ProtocolKeys(Config):
    """Which protocol a distilled set is evaluated by."""

    protocol: str = "hard"


def protocols() -> dict[str, Protocol]:
    """Return all protocols by name."""
    return discover("lgd_core.evaluation.protocols", "PROTOCOL")


def protocol_model() -> type[ProtocolKeys]:
    """Return the model of the key that names a protocol, one of those there are."""
    known = protocols()
    told = "; ".join(f"{name} ({each.description})" for name, each in known.items())
    names = (Literal[tuple(known)], Field("hard", description=f"How students learn: {told}."))
    fields: dict[str, Any] = {"protocol": names}
    return create_model("AnyProtocol", __base__=ProtocolKeys, **fields)
