"""Forward and backward passes that making an image takes, from the recipe; free of PyTorch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lgd_core.config.methods import CORESETS, SEED_SOURCES
from lgd_core.config.models.method import CondensationConfig, MethodConfig

# Networks in the order of tables, each with its two directions. "surrogate" is that of influence
# guidance, "network" the random ones through which pixels are condensed.
NETWORKS = ("transformer", "decoder", "encoder", "learner", "reference", "surrogate", "network")
PASSES = tuple(
    f"{network}_{direction}" for network in NETWORKS for direction in ("forward", "backward")
)

# What of a recipe decides the passes.
RECIPE_KEYS = (
    "source",
    "seed",
    "ipc_per_increment",
    "through_autoencoder",
    "candidates",
    "sampler",
    "window",
    "learnability",
    "deviation",
    "influence",
    "condensation",
)


@dataclass(frozen=True)
class Amounts:
    """What decides the passes beside the recipe.

    ``classes`` are those that one job draws, on average; ``images`` all real training images and
    ``smallest_class`` those of the class that has fewest; ``checkpoints`` those kept of the
    surrogate, 0 where there is none.
    """

    classes: float
    images: int
    smallest_class: int
    checkpoints: int = 0


def drawing_evaluations(method: MethodConfig, increment: int, amounts: Amounts) -> Counter[str]:
    """Return the passes per kept image of an increment, by names of PASSES.

    One image in one forward of one network counts as one: both branches of classifier-free
    guidance, every candidate of a position with its decoding and scoring, every checkpoint of the
    surrogate; so do real images, shared out among the kept ones. A gradient of gradients counts as
    two backward passes. What gradient checkpointing recomputes is not counted again. Empty where
    increment 0 is another method's.
    """
    made = "own" if increment else method.seed.source
    if made not in SEED_SOURCES:
        return Counter()
    if made == "prior":
        return _trajectory(method)
    if made == "own" and method.source == "prior":
        passes = _trajectory(method) + _guidance(method, increment, amounts) + _scoring(method)
        return Counter({name: number * method.candidates for name, number in passes.items()})
    stored = Counter(encoder_forward=1, decoder_forward=int(method.through_autoencoder))
    return stored + (_making(method, amounts) if made == "own" else Counter())


def mean_evaluations(
    method: MethodConfig, increments: Sequence[int], amounts: Amounts
) -> dict[str, float]:
    """Return the mean of drawing_evaluations over increments of one size; 0 without any."""
    total = sum((drawing_evaluations(method, k, amounts) for k in increments), Counter())
    return {name: total[name] / len(increments) for name in PASSES}


def _branches(method: MethodConfig) -> int:
    return 1 if method.sampler.cfg_scale == 1 else 2


def _trajectory(method: MethodConfig) -> Counter[str]:
    """Return the passes from noise to an image, without guidance."""
    steps = method.sampler.steps
    return Counter(transformer_forward=_branches(method) * steps, decoder_forward=1)


def _guidance(method: MethodConfig, increment: int, amounts: Amounts) -> Counter[str]:
    """Return the passes of all guided steps of one trajectory; a pull to modes takes none."""
    first, last = method.window
    guided = last - first + 1
    learnability = guided if method.learnability.strength_at(increment) else 0
    influence = guided if method.influence.strength else 0
    deviation = guided if method.deviation.strength else 0
    if increment == 0:  # the first position has nothing to deviate from
        deviation *= 1 - 1 / method.ipc_per_increment
    networks = {
        "decoder": learnability + influence,
        "learner": learnability,
        "reference": learnability if method.learnability.reference_weight else 0,
        "surrogate": influence * amounts.checkpoints,
    }
    passes = _both_ways(networks)
    passes["surrogate_backward"] *= 2
    if method.learnability.gradient == "full":
        changes = learnability + influence + deviation
        passes["transformer_backward"] = _branches(method) * changes
    return passes


def _scoring(method: MethodConfig) -> Counter[str]:
    """Return the passes that score one candidate as it is stored."""
    if not method.needs_learner():
        return Counter()
    reference = int(method.learnability.reference_weight > 0)
    return Counter(learner_forward=1, reference_forward=reference)


def _making(method: MethodConfig, amounts: Amounts) -> Counter[str]:
    """Return the passes per image of a job that chooses real images or optimises pixels."""
    kept = method.ipc_per_increment * amounts.classes
    if method.source in CORESETS:
        return Counter(reference_forward=amounts.images / kept)
    if method.source == "condensed":
        return _matching(method, amounts) + _training(method.condensation, amounts, kept)
    return Counter()


def _matching(method: MethodConfig, amounts: Amounts) -> Counter[str]:
    """Return the passes per image of comparing real and synthetic ones; see distill.matching."""
    recipe = method.condensation
    real = min(recipe.real_batch, amounts.smallest_class) / method.ipc_per_increment
    synthetic = recipe.factor**2
    back = {"distribution": synthetic, "gradient": real + 2 * synthetic}[recipe.objective]
    steps = recipe.steps
    return Counter(network_forward=steps * (real + synthetic), network_backward=steps * back)


def _training(recipe: CondensationConfig, amounts: Amounts, kept: float) -> Counter[str]:
    """Return the passes per image of training the networks that compare, on real images."""
    network = recipe.network
    lives = -(-recipe.steps // network.life)
    turns = lives * network.warm_up + recipe.steps * network.steps
    return _both_ways({"network": turns * min(network.batch, amounts.images) / kept})


def _both_ways(passes: dict[str, float]) -> Counter[str]:
    """Return as many forward as backward passes, by network."""
    return Counter({f"{n}_{way}": p for n, p in passes.items() for way in ("forward", "backward")})
