"""Images of a set from elsewhere, in its own order."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgd_core.base.errors import UserError
from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.external import ElsewhereConfig
from lgd_core.config.models.method import MethodConfig
from lgd_core.distill.sources.real import StoredSettings, stored

if TYPE_CHECKING:
    from torch import Tensor

    from lgd_core.distill.context import Candidates, SourceContext


class ElsewhereSettings(StoredSettings):
    """The settings of images from elsewhere; the set itself is among the files of the job."""

    factor: int


def settings(method: MethodConfig, increment: int) -> ElsewhereSettings:
    """Return the settings of an increment."""
    return ElsewhereSettings(
        through_autoencoder=method.through_autoencoder,
        factor=method.section(ElsewhereConfig).factor,
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: the set as arrays."""
    return {"external"}


def factor(settings: ElsewhereSettings) -> int:
    """Return the factor f by which each stored image holds f x f images."""
    return settings.factor


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image."""
    return stored(method)


def make(context: "SourceContext[ElsewhereSettings]") -> "Candidates":
    """Return the next images of every class as one candidate per position.

    Raises UserError if a class has too few, or if stored images hold another number of images.
    """
    import torch

    from lgd_core.data.real_images import load_stored_set
    from lgd_core.distill.context import as_candidates

    folder = Path(context.artifacts.files["external"][0]).parent
    (images,), (labels,), found, weights = load_stored_set(folder)
    if found != context.settings.factor:
        raise UserError(
            f"{folder}: formation: found {found}, expected {context.settings.factor}, the entry's "
            "factor under external"
        )
    _, increment = context.key
    end = (increment + 1) * context.ipc
    rows: list[Tensor] = []
    for label in context.labels:
        own = (labels == label).nonzero().flatten()
        if len(own) < end:
            raise UserError(
                f"{folder}: class {label}: found {len(own)} images, expected {end} for increment "
                f"{increment}"
            )
        rows.append(own[end - context.ipc : end])
    through = context.settings.through_autoencoder
    made = as_candidates(images[torch.cat(rows)], len(context.labels), through, context.prior)
    if weights is not None:
        made["weights"] = weights[0][torch.stack(rows)]
    return made, {}


SOURCE = ImageSource(
    description="a set from elsewhere, named under external of the run",
    model=ElsewhereSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
    sections={"external": ElsewhereConfig},
    factor=factor,
)
