"""Numbers that are none stop a job, instead of becoming black images and accuracies of chance."""

import math

from torch import Tensor

from lgd_core.base.errors import UserError


def require_finite(values: Tensor | float, what: str, advice: str) -> None:
    """Raise UserError where any of the values is infinite or not a number.

    ``what`` names the values, ``advice`` says what to try.
    """
    whole = values.isfinite().all() if isinstance(values, Tensor) else math.isfinite(values)
    if not whole:
        raise UserError(
            f"{what}: found infinite values or values that are no numbers, expected finite ones; "
            f"try {advice}"
        )
