"""Arms of scores: the ways in which students learn a set, all derived from one protocol."""

from collections.abc import Sequence

from lgd_core.config.models.dataset import AugmentConfig
from lgd_core.config.models.protocol import EvaluationsConfig, LabelsConfig, ProtocolConfig

ARMS = ("own", "hard", "unaugmented")
# Crops that are the whole image, and no flips.
NOT_AUGMENTED = AugmentConfig(crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0)


def has_class_labels(protocol: ProtocolConfig) -> bool:
    """Whether students learn the classes of images, not a teacher's distributions."""
    return protocol.labels.source == "class"


def arms_of(protocol: ProtocolConfig) -> list[str]:
    """Return the arms that are measured; with labels of classes ``own`` is ``hard`` as well."""
    return [arm for arm in ARMS if arm != "hard" or not has_class_labels(protocol)]


def protocol_of_arm(protocol: ProtocolConfig, arm: str, rates: Sequence[float]) -> ProtocolConfig:
    """Return how students of an arm learn, by a protocol of stages.protocol_on.

    ``own`` learns by the protocol, ``hard`` the classes of the same images, ``unaugmented`` as own
    without augmentation, CutMix and shuffled patches. All are tested after the last epoch alone,
    and try the learning ``rates`` in place of the protocol's.
    """
    changes = {
        "own": {},
        "hard": {"labels": LabelsConfig(regions=protocol.labels.regions)},
        "unaugmented": {"augment": NOT_AUGMENTED, "cutmix": False, "shuffle": 1},
    }
    common = {
        "evaluations": EvaluationsConfig(count=1),
        "optimiser": protocol.optimiser.model_copy(update={"lr": rates[0]}),
    }
    return protocol.model_copy(update=common | changes[arm])
