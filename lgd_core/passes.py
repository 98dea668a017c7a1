"""Forward and backward passes that drawing an image takes, from the recipe; free of PyTorch."""

from collections import Counter
from collections.abc import Sequence

from lgd_core.methods import SEED_SOURCES, needs_learner, strength_at

# Networks in the order of tables, each with its two directions.
PASSES = tuple(
    f"{network}_{direction}"
    for network in ("transformer", "decoder", "encoder", "learner", "reference")
    for direction in ("forward", "backward")
)


def drawing_passes(method: dict, increment: int) -> Counter:
    """Return the passes per kept image of an increment, by names of PASSES.

    One image in one forward of one network counts as one: both branches of classifier-free
    guidance, every candidate of a position with its decoding and scoring. What gradient
    checkpointing recomputes is not counted again. Empty where increment 0 is another method's.
    """
    made = "own" if increment else method["seed"]["source"]
    if made not in SEED_SOURCES:
        return Counter()
    if made in ("real", "folder") or (made == "own" and method["source"] == "real"):
        return Counter(encoder_forward=1, decoder_forward=int(method["through_autoencoder"]))
    if made == "prior":
        return _trajectory(method)
    passes = _trajectory(method) + _guidance(method, increment) + _scoring(method)
    return Counter({name: number * method["candidates"] for name, number in passes.items()})


def mean_passes(method: dict, increments: Sequence[int]) -> dict[str, float]:
    """Return the mean of drawing_passes over increments of one size; 0 where there are none."""
    total = sum((drawing_passes(method, k) for k in increments), Counter())
    return {name: total[name] / len(increments) for name in PASSES}


def _branches(method: dict) -> int:
    return 1 if method["sampler"]["cfg_scale"] == 1 else 2


def _trajectory(method: dict) -> Counter:
    """Return the passes from noise to an image, without guidance."""
    steps = method["sampler"]["steps"]
    return Counter(transformer_forward=_branches(method) * steps, decoder_forward=1)


def _guidance(method: dict, increment: int) -> Counter:
    """Return the passes of all guided steps of one trajectory."""
    first, last = method["window"]
    learnability = last - first + 1 if strength_at(method, increment) else 0
    deviation = last - first + 1 if method["deviation"]["strength"] else 0
    if increment == 0:  # the first position has nothing to deviate from
        deviation *= 1 - 1 / method["ipc_per_increment"]
    networks = ["decoder", "learner"]
    if method["learnability"]["reference_weight"]:
        networks.append("reference")
    passes = Counter(
        {f"{n}_{way}": learnability for n in networks for way in ("forward", "backward")}
    )
    if method["learnability"]["gradient"] == "full":
        passes["transformer_backward"] = _branches(method) * (learnability + deviation)
    return passes


def _scoring(method: dict) -> Counter:
    """Return the passes that score one candidate as it is stored."""
    if not needs_learner(method):
        return Counter()
    reference = int(method["learnability"]["reference_weight"] > 0)
    return Counter(learner_forward=1, reference_forward=reference)
