"""Names of network architectures, and what input they can take; free of PyTorch."""

import re
from dataclasses import dataclass

from lgd_core.base.errors import UserError

_PATTERN = re.compile(r"^(ConvNet|ResNetAP|ResNet)-(\d+)(?:-w(\d+))?(-bn)?$")
_WIDTHS = {"ConvNet": 128, "ResNetAP": 64, "ResNet": 64}
_DEPTHS = {"ConvNet": range(1, 9), "ResNetAP": (10,), "ResNet": (10, 18)}


@dataclass(frozen=True)
class Architecture:
    """A family, its depth and its first width; ``ConvNet-3-w32`` is ConvNet, 3, 32.

    Networks whose name ends with ``-bn`` have batch normalisation, all others instance
    normalisation.
    """

    family: str
    depth: int
    width: int
    batch_norm: bool = False

    @property
    def smallest_input(self) -> int:
        """Smallest image side in pixels whose last normalised map has more than one pixel.

        Instance norm of a single pixel is constant: logits would not depend on the image.
        """
        return 2**self.depth if self.family == "ConvNet" else 16


def parse_architecture(name: str, where: str = "architecture") -> Architecture:
    """Read an architecture's name; raises UserError, for ``where``, if there is none of it."""
    match = _PATTERN.match(name)
    # torchvision's basic block has one width only.
    fixed_width = match is not None and match[1] == "ResNet" and match[3]
    if match is None or fixed_width or int(match[2]) not in _DEPTHS[match[1]]:
        raise UserError(
            f"{where}: found '{name}', expected ConvNet-1 to ConvNet-8, ResNetAP-10, "
            "ResNet-10 or ResNet-18, the first two with an optional width as in ConvNet-3-w32, "
            "all with an optional -bn for batch normalisation"
        )
    width = int(match[3] or _WIDTHS[match[1]])
    return Architecture(match[1], int(match[2]), width, batch_norm=match[4] is not None)
