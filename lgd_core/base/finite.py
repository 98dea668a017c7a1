"""NaN and infinity stop a job, instead of leading to black images and chance accuracy."""

import math

from torch import Tensor

from lgd_core.base.errors import UserError


class NotFiniteError(UserError):
    """A computation has led to NaN or infinity."""


def require_finite(values: Tensor | float, what: str, advice: str) -> None:
    """Raise NotFiniteError if any of the values is infinite or NaN.

    ``what`` names the values, ``advice`` says what to try.
    """
    whole = values.isfinite().all() if isinstance(values, Tensor) else math.isfinite(values)
    if not whole:
        raise NotFiniteError(
            f"{what}: found infinite values or values that are no numbers, expected finite ones; "
            f"try {advice}"
        )
