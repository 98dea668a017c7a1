"""What a data set has to hold for a method or a measurement: what no model of one file can say."""

from lgd_core.base.errors import UserError
from lgd_core.config.kinds import image_sources
from lgd_core.config.methods import is_guided
from lgd_core.config.models.base import DisagreementError
from lgd_core.config.models.dataset import DatasetConfig
from lgd_core.config.models.method import MethodConfig


def check_held_out(dataset: DatasetConfig, where: str, purpose: str) -> None:
    """Raise UserError unless a data set holds out training images, which ``purpose`` needs."""
    if not dataset.source.validation_fraction:
        raise UserError(
            f"{where}: source.validation_fraction: found 0, expected more, since {purpose} needs "
            "training images that are held out"
        )


def check_method(method: MethodConfig, dataset: DatasetConfig, where: str) -> None:
    """Raise UserError where keys of a method do not agree with its data set."""
    try:
        image_sources()[method.source].check(method, dataset)
    except DisagreementError as error:
        raise UserError(f"{where}: {error.key}: {error}") from None
    through_small = is_guided(method) and method.guidance.decoder == "small"
    if through_small and dataset.prior.small_decoder.source is None:
        raise UserError(
            f"{where}: guidance.decoder: found small, expected full, since the data set's "
            "prior.small_decoder.source is null"
        )
    to_plateau = method.learner.protocol is None
    held_out = dataset.source.validation_fraction
    if to_plateau and method.learner.monitor == "validation" and not held_out:
        raise UserError(
            f"{where}: learner.monitor: found validation, expected training, since the data "
            "set's source.validation_fraction is 0"
        )
