"""What follows from a method's recipe; free of PyTorch."""

from lgd_core.base.errors import UserError

# Where increment 0 may come from; any other name is that of a method whose own it shares.
SEED_SOURCES = ("own", "prior", "real", "folder")

# Keys of guidances that say when, how images are scored and what is differentiated.
NOT_OF_A_STEP = ("strength_by_increment", "reference_weight", "gradient")

# Sources that choose real images by what the reference model sees in them.
CORESETS = ("herding", "kcenter")


def guidances(method: dict) -> dict[str, dict]:
    """Return the guidances that a recipe has keys for, by name: all mappings with a strength."""
    return {
        name: part for name, part in method.items() if isinstance(part, dict) and "strength" in part
    }


def acts(guidance: dict) -> bool:
    """Whether a guidance has any strength, at one increment or at all of them."""
    return any(guidance.get("strength_by_increment") or [guidance["strength"]])


def is_guided(method: dict) -> bool:
    """Whether any guidance beside the classifier-free one acts while a method samples."""
    return any(map(acts, guidances(method).values()))


def acting_guidances(method: dict, increment: int) -> dict[str, dict]:
    """Return the guidances that act while an increment is drawn, with their strength there."""
    return {
        name: {key: value for key, value in guidance.items() if key not in NOT_OF_A_STEP}
        | {"strength": strength_at_increment(guidance, increment)}
        for name, guidance in guidances(method).items()
        if strength_at_increment(guidance, increment)
    }


def strength_at_increment(guidance: dict, increment: int) -> float:
    """Return a guidance's strength at an increment; a schedule begins with increment 1."""
    schedule = guidance.get("strength_by_increment")
    if not schedule:
        return guidance["strength"]
    return schedule[max(0, min(increment, len(schedule)) - 1)]


def needs_learner(method: dict, increment: int | None = None) -> bool:
    """Whether the candidates of an increment, or any of them, are guided or ranked by a learner."""
    learnability = method["learnability"]
    guided = (
        acts(learnability) if increment is None else strength_at_increment(learnability, increment)
    )
    return method["source"] == "prior" and (method["candidates"] > 1 or bool(guided))


def needs_influence(method: dict) -> bool:
    """Whether the candidates of a method are guided by surrogates of the real images."""
    return method["source"] == "prior" and acts(method["influence"])


def formation(method: dict) -> int:
    """Return the factor f by which a method's stored images hold f x f images each."""
    return method["condensation"]["factor"] if method.get("source") == "condensed" else 1


def images_per_increment(method: dict) -> int:
    """Return the images per class of one increment as networks see them.

    A stored image that holds several counts as so many, as in the field's tables of epochs.
    """
    return method["ipc_per_increment"] * formation(method) ** 2


def check_formation(method: dict, seed: dict | None, size: int, where: str) -> None:
    """Raise UserError unless images of ``size`` pixels can hold as many as a method's should.

    All increments must hold equally many: ``seed`` is the method whose increment 0 is shared, or
    the method itself; None where it is drawn from the prior, real or a folder.
    """
    factor, of_seed = formation(method), 1 if seed is None else formation(seed)
    if size % factor:
        raise UserError(
            f"{where}: condensation.factor: found {factor}, expected a divisor of {size}, the "
            "data set's image size"
        )
    if factor != of_seed:
        raise UserError(
            f"{where}: seed.source: found images that hold {of_seed} x {of_seed}, expected "
            f"{factor} x {factor}, as in the other increments; own does so"
        )


def mode_clusters(method: dict) -> int:
    """Return the number of clusters that a class's latents are put into."""
    return method["modes"]["clusters"] or method["ipc_per_increment"]


def mode_increment(method: dict, increment: int) -> int:
    """Return the increment whose clusters an increment uses: its own, or 0 where all share them."""
    return 0 if method["modes"]["clusters"] else increment


def prior_owner(method: dict, name: str) -> str | None:
    """Return the method whose tuned prior method ``name`` draws from; None: the data set's own."""
    return name if method["prior"] == "own" else method["prior"]


def epochs_for_ipc(epochs: dict[int, int], ipc: int) -> int:
    """Return the epochs for an amount of images per class: those of the next amount listed."""
    return epochs[min((known for known in epochs if known >= ipc), default=max(epochs))]
