"""What follows from a method's recipe; free of PyTorch."""

from lgd_core.base.errors import UserError
from lgd_core.config.models.method import GuidanceConfig, MethodConfig

# Where increment 0 may come from; any other name is that of a method whose own it shares.
SEED_SOURCES = ("own", "prior", "real", "folder")

# Sources that choose real images by what the reference model sees in them.
CORESETS = ("herding", "kcenter")


def acting_guidances(method: MethodConfig, increment: int) -> dict[str, GuidanceConfig]:
    """Return the guidances that act while an increment is drawn, with their strength there."""
    return {
        name: guidance.at_increment(increment)
        for name, guidance in method.guidances.items()
        if guidance.strength_at(increment)
    }


def needs_influence(method: MethodConfig) -> bool:
    """Whether the candidates of a method are guided by surrogates of the real images."""
    return method.source == "prior" and method.influence.acts


def formation(method: MethodConfig) -> int:
    """Return the factor f by which a method's stored images hold f x f images each."""
    return method.condensation.factor if method.source == "condensed" else 1


def images_per_increment(method: MethodConfig) -> int:
    """Return the images per class of one increment as networks see them.

    A stored image that holds several counts as so many, as in the field's tables of epochs.
    """
    return method.ipc_per_increment * formation(method) ** 2


def check_formation(method: MethodConfig, seed: MethodConfig | None, size: int, where: str) -> None:
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


def mode_clusters(method: MethodConfig) -> int:
    """Return the number of clusters that a class's latents are put into."""
    return method.modes.clusters or method.ipc_per_increment


def mode_increment(method: MethodConfig, increment: int) -> int:
    """Return the increment whose clusters an increment uses: its own, or 0 where all share them."""
    return 0 if method.modes.clusters else increment


def prior_owner(method: MethodConfig, name: str) -> str | None:
    """Return the method whose tuned prior method ``name`` draws from; None: the data set's own."""
    return name if method.prior == "own" else method.prior


def epochs_for_ipc(epochs: dict[int, int], ipc: int) -> int:
    """Return the epochs for an amount of images per class: those of the next amount listed."""
    return epochs[min((known for known in epochs if known >= ipc), default=max(epochs))]
