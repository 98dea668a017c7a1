"""What a form of exchange offers: a module of `lgd_core.exchange.forms` has one as ``FORM``.

Importing such a module imports neither PyTorch nor datasets, since every run looks at the forms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from lgd_core.config.classes import class_labels
from lgd_core.config.external import ExternalSet
from lgd_core.config.plugins import discover
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.leaving import Leaving


@dataclass(frozen=True)
class Arriving:
    """A set from elsewhere whose images are still encoded, in the order in which it has them.

    ``names`` tell the images apart; ``increments`` are None where the set does not say; ``read``
    decodes image ``number``, as grey or colour as the data set has it, at its own size, and raises
    BrokenFileError naming one that cannot be decoded. ``left_out`` are files that are not read.
    ``weights`` are those of images in a student's loss, None where the set does not say.
    """

    names: list[str]
    labels: list[int]
    increments: list[int] | None
    read: Callable[[int], Image.Image]
    left_out: list[str] = field(default_factory=list[str])
    weights: list[float] | None = None


@dataclass(frozen=True)
class Opening:
    """What a form needs to open a set: its path, its files, and what the run says of it.

    ``channels`` are those of the data set's images; ``read`` returns the bytes of a file.
    """

    path: Path
    files: list[Path]
    external: ExternalSet
    classes: ClassNames
    channels: int
    read: Callable[[str | Path], bytes]

    def labels(self, values: Sequence[str]) -> list[int]:
        """Return labels from what images are marked with; raises UserError as class_labels does."""
        known = class_labels(values, self.classes.names, self.classes.wnids, f"{self.path}: labels")
        return [known[value] for value in values]


@dataclass(frozen=True)
class Form:
    """A form of exchange.

    ``write`` writes a set into a folder, part by part: it leaves alone what an earlier, interrupted
    call has completed there. ``loading`` is Python that loads such a folder, named FOLDER.
    ``files`` is the pattern of the files of increment ``k``, where increments have their own: the
    card then tells the library `datasets` of them. ``find`` returns the files of a set in this form
    that lie at a path, none if it is in another form; it checks all that can be known before images
    are decoded. ``open`` returns the set. Both raise UserError, one line that names the file at
    fault. Forms of a higher ``order`` are tried later.
    """

    description: str
    write: Callable[[Path, Leaving], None]
    loading: str
    files: str | None = None
    find: Callable[[Path, ClassNames], list[Path]] | None = None
    open: Callable[[Opening], Arriving] | None = None
    order: int = 0


def forms() -> dict[str, Form]:
    """Return all forms by name, in the order in which they are tried."""
    found = discover("lgd_core.exchange.forms", "FORM")
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))
