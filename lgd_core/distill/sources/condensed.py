"""Pixels optimised from random real images, so that they act on networks like real ones."""

from typing import TYPE_CHECKING

from lgd_core.config.kinds import Amounts, ImageSource
from lgd_core.config.models.condensation import CondensationConfig
from lgd_core.config.models.method import MethodConfig
from lgd_core.distill.sources.real import StoredSettings, stored

if TYPE_CHECKING:
    from lgd_core.distill.context import Candidates, SourceContext


class CondensedSettings(StoredSettings):
    """The settings of condensed images."""

    condensation: CondensationConfig


def settings(method: MethodConfig, increment: int) -> CondensedSettings:
    """Return the settings of an increment."""
    return CondensedSettings(
        through_autoencoder=method.through_autoencoder,
        condensation=method.section(CondensationConfig),
    )


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts of an increment: real images as stored and as networks see them."""
    return {"originals", "train"}


def factor(settings: CondensedSettings) -> int:
    """Return the factor f by which each stored image holds f x f images."""
    return settings.condensation.factor


def architectures(method: MethodConfig) -> dict[str, str]:
    """Return the architecture of the networks that compare, by its key."""
    network = method.section(CondensationConfig).network
    return {"condensation.network.architecture": network.architecture}


def make(context: "SourceContext[CondensedSettings]") -> "Candidates":
    """Return images optimised from random real ones, as one candidate per position.

    No two increments start from the same real images.
    """
    from lgd_core.base.micro_batches import MicroBatches
    from lgd_core.data.real_images import real_increment
    from lgd_core.diffusion.priors import to_uint8
    from lgd_core.distill.artifacts import present
    from lgd_core.distill.condensation import Condenser, condense, initial_pixels
    from lgd_core.distill.context import as_candidates
    from lgd_core.networks.training import Images

    settings, seen, labels = context.settings, context.seen, context.labels
    recipe, real = settings.condensation, present(context.artifacts.real)
    images, known = real.split("originals")
    held = context.ipc * recipe.factor**2
    rows = real_increment(known, seen.classes, held, *context.key)[labels]
    start = initial_pixels(images[rows.flatten()], len(labels), recipe.factor)
    # Real and synthetic images of a class share a batch.
    largest = context.prior.micro_batches.largest // (held + recipe.real_batch)
    condenser = Condenser(
        Images.on(context.prior.device, *real.split("train"), seen),
        labels,
        seen.network(recipe.network.architecture),
        recipe,
        context.key,
        MicroBatches(max(1, largest)),
    )
    stored = to_uint8(condense(condenser, start, context.checkpoint)).flatten(0, 1)
    return as_candidates(stored, len(labels), settings.through_autoencoder, context.prior), {}


def evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> dict[str, float]:
    """Return the network evaluations of one kept image, with its share of the job's networks."""
    recipe, passes = method.section(CondensationConfig), stored(method)
    matched = _matching(recipe, method.ipc_per_increment, amounts)
    trained = _training(recipe, method.ipc_per_increment * amounts.classes, amounts)
    return passes | {name: matched[name] + trained for name in matched}


def _matching(recipe: CondensationConfig, size: int, amounts: Amounts) -> dict[str, float]:
    """Return the evaluations of comparing real and synthetic images; see distill.matching."""
    real = min(recipe.real_batch, amounts.smallest_class) / size
    synthetic = recipe.factor**2
    back = {"distribution": synthetic, "gradient": real + 2 * synthetic}[recipe.objective]
    forward = recipe.steps * (real + synthetic)
    return {"network_forward": forward, "network_backward": recipe.steps * back}


def _training(recipe: CondensationConfig, kept: float, amounts: Amounts) -> float:
    """Return the evaluations, each way, of training the networks that compare on real images."""
    network = recipe.network
    lives = -(-recipe.steps // network.life)
    turns = lives * network.warm_up + recipe.steps * network.steps
    return turns * min(network.batch, amounts.images) / kept


SOURCE = ImageSource(
    description="pixels optimised from random training images",
    model=CondensedSettings,
    settings=settings,
    make=make,
    needs=needs,
    evaluations=evaluations,
    sections={"condensation": CondensationConfig},
    factor=factor,
    architectures=architectures,
)
