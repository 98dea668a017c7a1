"""One group of candidates per class, near to the class's real images and far from other classes.

Subgroup selection of IMS3 (CVPR 2026), as described. A group of a class is made of the candidates
with one index at all positions of an increment.
"""

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import Field

from lgd_core.config.kinds import ChoiceKind
from lgd_core.config.models.base import Config, Weight
from lgd_core.config.models.method import MethodConfig

if TYPE_CHECKING:
    from torch import Tensor

    from lgd_core.distill.artifacts import Artifacts
    from lgd_core.distill.drawing import Measure

# Real images of a class whose mean stands for it; as in the authors' text.
REAL_IMAGES = 200


class SubgroupConfig(Config):
    """Weights of the two criteria of subgroup selection."""

    centre_weight: Weight = Field(
        0.4, description="Weight of the distance between a group and its class's real images."
    )
    pair_weight: Weight = Field(
        0.9,
        description=(
            "Weight of the distances between the groups of two classes, summed over pairs. The "
            "authors' text divides this sum by the number of other classes, their code does not."
        ),
    )


def measure(artifacts: "Artifacts") -> "Measure":
    """Return the function that gives candidates the reference's features, at unit length."""
    import torch.nn.functional as F

    from lgd_core.distill.artifacts import present
    from lgd_core.networks.features import embed

    reference, preprocess = present(artifacts.reference), present(artifacts.preprocess)

    def features(images: "Tensor", labels: "Tensor") -> "dict[str, Tensor]":
        return {"features": F.normalize(embed(reference, preprocess(images))[0])}

    return features


def of_classes(artifacts: "Artifacts", labels: list[int]) -> "dict[str, Tensor]":
    """Return the mean features (classes, d) of the first real images of some classes."""
    import torch
    import torch.nn.functional as F

    from lgd_core.distill.artifacts import present
    from lgd_core.networks.features import penultimate
    from lgd_core.networks.training import Images

    images, known = present(artifacts.real).split("train")
    preprocess = present(artifacts.preprocess)
    data = Images(images, known.to(preprocess.mean.device), preprocess, None)
    means: list[Tensor] = []
    for label in labels:
        rows = (known == label).nonzero().flatten()[:REAL_IMAGES]
        found, _ = penultimate(present(artifacts.reference), data, rows=rows)
        means.append(F.normalize(found).mean(0))
    return {"real_features": torch.stack(means)}


def choose(settings: SubgroupConfig, measured: "dict[str, Tensor]") -> "Tensor":
    """Return the candidates of one group per class."""
    import torch

    from lgd_core.distill.selection import of_each_position
    from lgd_core.distill.subgroups import best_groups

    positions = measured["scores"].shape[1]
    groups = best_groups(
        measured["features"].mean(1),
        measured["real_features"],
        settings.centre_weight,
        settings.pair_weight,
    )
    same = torch.as_tensor(groups)[:, None].expand(-1, positions)
    return of_each_position(same, measured["scores"].shape[2])


def evaluations(method: MethodConfig) -> Counter[str]:
    """Return the network evaluations of one candidate; those of real images are left out."""
    return Counter(reference_forward=1)


CHOICE = ChoiceKind(
    description="of each class one group of candidates, near its real images and far from others",
    measure=measure,
    choose=choose,
    settings=SubgroupConfig,
    needs=("originals", "train", "reference"),
    evaluations=evaluations,
    scope="set",
    of_classes=of_classes,
)
