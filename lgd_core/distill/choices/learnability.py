"""The candidate of highest learnability at every position (Eq. 9)."""

from collections import Counter
from typing import TYPE_CHECKING

from lgd_core.config.kinds import ChoiceKind
from lgd_core.config.models.base import Config
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from lgd_core.distill.artifacts import Artifacts
    from lgd_core.distill.drawing import Measure


def measure(artifacts: "Artifacts") -> "Measure | None":
    """Return the function that scores candidates; None where nothing scores them."""
    scorer = artifacts.scorer
    if scorer is None:
        return None
    return lambda images, labels: {"scores": scorer(images, labels)}


def choose(settings: Config, measured: "dict[str, Tensor]") -> "Tensor":
    """Return the best of every position."""
    from lgd_core.distill.selection import best_of_positions

    return best_of_positions(measured["scores"])


def evaluations(method: MethodConfig) -> Counter[str]:
    """Return the network evaluations of scoring one candidate as it is stored."""
    reference = int(method.learnability.reference_weight > 0)
    return Counter(learner_forward=1, reference_forward=reference)


CHOICE = ChoiceKind(
    description="the highest learnability at every position",
    measure=measure,
    choose=choose,
    needs=("learner", "reference"),
    evaluations=evaluations,
)
