"""Real training images chosen by how a network learned them (EL2N, forgetting, AUM, CCS)."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.method import MethodConfig
from lgd_core.config.models.pruning import PruningConfig
from lgd_core.distill.sources.real import StoredSettings, stored

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


class PrunedSettings(StoredSettings):
    """The settings of chosen images."""

    pruning: PruningConfig


def settings(method: MethodConfig, increment: int) -> PrunedSettings:
    """Return the settings of an increment."""
    return PrunedSettings(
        through_autoencoder=method.through_autoencoder, pruning=method.section(PruningConfig)
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: the images, and how a network learned them."""
    return {"originals", "dynamics"}


def make(context: "SourceContext[PrunedSettings]") -> "Candidates":
    """Return the chosen real images as one candidate per position."""
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.context import as_candidates
    from lgd_core.distill.pruning import load_hardness, pruned_increment

    recipe, classes = context.settings.pruning, context.labels
    images, labels = present(context.artifacts.real).split("originals")
    (path,) = context.artifacts.files["dynamics"]
    hardness = load_hardness(path, recipe.score, len(labels))
    rows = pruned_increment(hardness, labels, classes, recipe, context.ipc, context.key)
    through = context.settings.through_autoencoder
    return as_candidates(images[rows.flatten()], len(classes), through, context.prior), {}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image; the scores are a stage of their own."""
    return dict(stored(method))


SOURCE = ImageSource(
    description="training images by how a network learned them",
    model=PrunedSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
    sections={"pruning": PruningConfig},
)
