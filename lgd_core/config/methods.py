"""What follows from a method's recipe; free of PyTorch."""

from lgd_core.base.errors import UserError
from lgd_core.config.kinds import guidance_kinds, image_sources
from lgd_core.config.models.guidance import GuidanceConfig
from lgd_core.config.models.method import MethodConfig

# Where increment 0 may come from; any other name is that of a method whose own it shares.
SEED_SOURCES = ("own", "prior", "real", "folder")


def is_guided(method: MethodConfig) -> bool:
    """Whether any guidance beside the classifier-free one acts while a method samples."""
    return any(guidance.acts for guidance in method.guidances.values())


def acting_guidances(method: MethodConfig, increment: int) -> dict[str, GuidanceConfig]:
    """Return the guidances that act while an increment is drawn, with their strength there."""
    return {
        name: guidance.at_increment(increment)
        for name, guidance in method.guidances.items()
        if guidance.strength_at(increment)
    }


def is_ranked(method: MethodConfig) -> bool:
    """Whether a position has several candidates, among which the method chooses."""
    return method.candidates > 1


def needs_of_guidances(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts that the guidances which act at an increment are made from."""
    kinds = guidance_kinds()
    return {
        artifact for name in acting_guidances(method, increment) for artifact in kinds[name].needs
    }


def needs(method: MethodConfig, increment: int) -> set[str]:
    """Return the artifacts that an increment of a method is made from, beside the prior.

    They are ``originals`` and ``train``, real images as stored and as networks see them;
    ``reference``, ``learner``, ``influence``, ``modes``, ``dynamics``, ``small_decoder``;
    ``memory``, the increments so far.
    """
    return image_sources()[method.source].needs(method, increment)


def factor(method: MethodConfig) -> int:
    """Return the factor f by which a method's stored images hold f x f images each."""
    source = image_sources()[method.source]
    return source.factor(source.settings(method, 1))


def images_per_increment(method: MethodConfig) -> int:
    """Return the images per class of one increment as networks see them.

    A stored image that holds several counts as so many, as in the field's tables of epochs.
    """
    return method.ipc_per_increment * factor(method) ** 2


def check_formation(method: MethodConfig, seed: MethodConfig | None, size: int, where: str) -> None:
    """Raise UserError unless images of ``size`` pixels can hold as many as a method's should.

    All increments must hold equally many: ``seed`` is the method whose increment 0 is shared, or
    the method itself; None where it is drawn from the prior, real or a folder.
    """
    own, of_seed = factor(method), 1 if seed is None else factor(seed)
    if size % own:
        raise UserError(
            f"{where}: condensation.factor: found {own}, expected a divisor of {size}, the "
            "data set's image size"
        )
    if own != of_seed:
        raise UserError(
            f"{where}: seed.source: found images that hold {of_seed} x {of_seed}, expected "
            f"{own} x {own}, as in the other increments; own does so"
        )


def prior_owner(method: MethodConfig, name: str) -> str | None:
    """Return the method whose tuned prior method ``name`` draws from; None: the data set's own."""
    return name if method.prior == "own" else method.prior


def batch_for_ipc(batch: dict[int, int], ipc: int) -> int:
    """Return the batch for an amount of images per class: that of the next smaller amount listed.

    Below all amounts it is that of the smallest.
    """
    return batch[max((known for known in batch if known <= ipc), default=min(batch))]


def epochs_for_ipc(epochs: dict[int, int], ipc: int) -> int:
    """Return the epochs for an amount of images per class: those of the next amount listed."""
    return epochs[min((known for known in epochs if known >= ipc), default=max(epochs))]
