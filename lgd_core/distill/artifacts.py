"""What an increment is made from besides the prior: networks, real images, latents in the set."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from torch import Tensor, nn

from lgd_core.data.real_images import RealImages
from lgd_core.diffusion.guidance import learnability
from lgd_core.diffusion.small_decoder import SmallDecoder
from lgd_core.distill.influence import Influence
from lgd_core.networks.classifiers import Preprocess


@dataclass(frozen=True)
class Scorer:
    """The learnability score of images, by a learner and a reference; see guidance.learnability."""

    learner: nn.Module
    reference: nn.Module
    preprocess: Preprocess
    reference_weight: float

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Score images on [0, 1] (B, C, H, W); returns (B,)."""
        images = self.preprocess(images)
        return learnability(self.learner, self.reference, images, labels, self.reference_weight)


@dataclass(frozen=True)
class Artifacts:
    """The inputs of a method's increments besides the prior; None if the method does not need one.

    ``memory`` (classes of the shard, M, c, h, w) holds the latents already in the set, ``real``
    has the data set's images, ``reference`` a network trained on all real images, ``modes``
    (classes of the data set, M, c, h, w) are centres of real latents, ``mode_sizes`` (classes, M)
    the number of latents of each. ``preprocess`` prepares images for networks. ``small_decoder``
    takes the place of the prior's decoder in gradients. ``files`` has the paths of all inputs of
    the job by name, for guidances and sources that read their own files.
    """

    scorer: Scorer | None = None
    memory: Tensor | None = None
    real: RealImages | None = None
    influence: Influence | None = None
    reference: nn.Module | None = None
    modes: Tensor | None = None
    mode_sizes: Tensor | None = None
    preprocess: Preprocess | None = None
    small_decoder: SmallDecoder | None = None
    files: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def of_classes(self, shard: list[int], labels: list[int]) -> "Artifacts":
        """Return the artifacts of some of the shard's classes."""
        if self.memory is None or labels == shard:
            return self
        return replace(self, memory=self.memory[[shard.index(label) for label in labels]])


Artifact = TypeVar("Artifact")


def present(artifact: Artifact | None) -> Artifact:
    """Return an artifact that a source or guidance needs; raises TypeError if the job has none."""
    if artifact is None:
        raise TypeError("found None for a needed artifact, see config.methods.needs")
    return artifact
