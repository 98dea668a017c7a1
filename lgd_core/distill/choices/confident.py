"""Of all candidates of a class those that the reference classifies right, the most certain first.

The first stage of CaO2 (ICCV 2025), as described: it draws four times as many images as are kept.
"""

from collections import Counter
from typing import TYPE_CHECKING

from lgd_core.config.kinds import ChoiceKind
from lgd_core.config.models.base import Config
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from lgd_core.distill.artifacts import Artifacts
    from lgd_core.distill.drawing import Measure


def measure(artifacts: "Artifacts") -> "Measure":
    """Return the function that scores candidates by the reference's probability of their class.

    That of an image which the reference takes for another class counts one less, so that it comes
    after all that are right.
    """
    from lgd_core.distill.artifacts import present

    reference, preprocess = present(artifacts.reference), present(artifacts.preprocess)

    def confidence(images: "Tensor", labels: "Tensor") -> "dict[str, Tensor]":
        probabilities = reference(preprocess(images)).softmax(1)
        own = probabilities.gather(1, labels[:, None])[:, 0]
        return {"scores": own - (probabilities.argmax(1) != labels).to(own.dtype)}

    return confidence


def choose(settings: Config, measured: "dict[str, Tensor]") -> "Tensor":
    """Return, in falling order of their scores, as many of a class's candidates as positions."""
    scores = measured["scores"]
    order = scores.flatten(1).argsort(dim=1, descending=True, stable=True)
    return order[:, : scores.shape[1]]


def evaluations(method: MethodConfig) -> Counter[str]:
    """Return the network evaluations of one candidate."""
    return Counter(reference_forward=1)


CHOICE = ChoiceKind(
    description="of a class's candidates those that the reference is most certain of",
    measure=measure,
    choose=choose,
    needs=("reference",),
    evaluations=evaluations,
    scope="class",
)
