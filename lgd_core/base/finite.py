"""NaN and infinity stop a job, instead of leading to black images and chance accuracy."""

import math

from torch import Tensor

from lgd_core.base.errors import UserError


def require_finite(values: Tensor | float, what: str, advice: str) -> None:
    """Raise UserError if any of the values is infinite or NaN.

    ``what`` names the values, ``advice`` says what to try.
    """
    whole = values.isfinite().all() if isinstance(values, Tensor) else math.isfinite(values)
    if not whole:
        raise UserError(
            f"{what}: found infinite values or values that are no numbers, expected finite ones; "
            f"try {advice}"
        )
