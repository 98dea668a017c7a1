"""Forward and backward passes for making an image, from the recipe. Does not import PyTorch."""

from collections.abc import Mapping, Sequence

from lgd_core.config.kinds import Amounts, image_sources
from lgd_core.config.methods import SEED_SOURCES
from lgd_core.config.models.method import MethodConfig
from lgd_core.distill.sources.prior import trajectory
from lgd_core.distill.sources.real import stored

# Networks in the order of tables, each with its two directions. "surrogate" is that of influence
# guidance, "network" the random ones through which pixels are condensed.
NETWORKS = (
    "transformer",
    "decoder",
    "small_decoder",
    "encoder",
    "learner",
    "reference",
    "surrogate",
    "network",
)
PASSES = tuple(
    f"{network}_{direction}" for network in NETWORKS for direction in ("forward", "backward")
)


def drawing_evaluations(
    method: MethodConfig, increment: int, amounts: Amounts
) -> Mapping[str, float]:
    """Return the passes per kept image of an increment, by names of PASSES.

    One image in one forward pass of one network counts as one. The passes include both branches of
    classifier-free guidance, every candidate of a position with its decoding and scoring, and every
    checkpoint of the surrogate. Passes of real images are divided among the kept images. A gradient
    of gradients counts as two backward passes. Recomputation by gradient checkpointing is not
    counted. The result is empty if increment 0 is another method's.
    """
    made = "own" if increment else method.seed.source
    if made == "own":
        return image_sources()[method.source].evaluations(method, increment, amounts)
    if made == "prior":
        return trajectory(method)
    return stored(method) if made in SEED_SOURCES else {}


def mean_evaluations(
    method: MethodConfig, increments: Sequence[int], amounts: Amounts
) -> dict[str, float]:
    """Return the mean of drawing_evaluations over increments of one size; 0 for unused networks."""
    drawn = [drawing_evaluations(method, k, amounts) for k in increments]
    return {name: sum(each.get(name, 0) for each in drawn) / len(increments) for name in PASSES}
