"""What library functions take of a data set and a recipe, as types; free of PyTorch.

`stages` makes them of recipes, a job reads them from its rule.
"""

from typing import Any

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator

from lgd_core.config.data_kinds import Wanted, kind_of
from lgd_core.config.kinds import ChoiceKind, choice_kinds, image_sources
from lgd_core.config.models.base import Config
from lgd_core.config.models.dataset import AugmentConfig, SourceConfig
from lgd_core.config.models.images import ImageConfig, NormaliseConfig, StoredImageConfig
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.models.protocol import Decayed, LabelsConfig, OptimiserName, ScheduleConfig


class ClassNames(Config):
    """What a data set's classes are called, in label order.

    ``wnids`` are empty where classes have plain names only. Kept apart from what images look like:
    a class that is called something else is no reason to train again.
    """

    names: list[str]
    wnids: list[str]


class StoredImages(Config):
    """What images of a data set's increments look like on disk; ``classes`` counts the classes."""

    classes: int
    image: StoredImageConfig

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a stored image."""
        return self.image.channels, self.image.size, self.image.size


class SeenImages(StoredImages):
    """How networks see a data set's images: at what size and scale, in training how augmented.

    ``augment`` is None for a stage that does not train.
    """

    # A narrower type is safe, since models are frozen.
    image: ImageConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    normalise: NormaliseConfig
    augment: AugmentConfig | None = None

    @property
    def side(self) -> int:
        """Height and width in pixels that networks see."""
        return self.image.train_size or self.image.size

    @property
    def network_input(self) -> "NetworkInput":
        """What all networks of the data set have in common."""
        return NetworkInput(channels=self.image.channels, size=self.side, classes=self.classes)

    def network(self, architecture: str) -> "NetworkSpec":
        """Return the network of an architecture that fits the data set."""
        return NetworkSpec(name=architecture, **self.network_input.model_dump())


class SourceSettings(Config):
    """What the arrays of a data set are made of: files of its source, which class they belong to.

    ``wnids`` is empty where classes are plain names.
    """

    classes: list[str]
    wnids: list[str]
    image: ImageConfig
    source: SourceConfig

    @property
    def wanted(self) -> Wanted[Any]:
        """What the kind of the source is asked for."""
        return kind_of(self.source).wanted(self.classes, self.wnids, self.image, self.source)


class NetworkInput(Config):
    """What a classifier takes and gives: images (N, channels, size, size), logits (N, classes)."""

    channels: int
    size: int
    classes: int

    def entries(self) -> dict[str, str | int]:
        """Return what files of a network say of it, by key and in their order."""
        return self.model_dump()


class NetworkSpec(NetworkInput):
    """What rebuilds a classifier: the name of its architecture, what it takes and gives."""

    name: str

    def entries(self) -> dict[str, str | int]:
        """Return what files of a network say of it, the name first."""
        return {"name": self.name} | super().entries()


class TrainingSettings(Config):
    """Training of a classifier to a fixed length, see training.train_to_length.

    ``epochs`` are cut off after ``steps``, where those are given. Evaluations are ``evaluations``
    in number, or ``every`` so many epochs, after a share of the epochs.
    """

    epochs: int | None
    batch: int
    lr: float
    weight_decay: float
    cutmix: bool
    evaluations: int | None
    steps: int | None = None
    optimiser: OptimiserName = "adamw"
    decayed: Decayed = "all"
    schedule: ScheduleConfig = ScheduleConfig()
    every: int | None = None
    after: float = 0.0


class StudentSettings(TrainingSettings):
    """How a student learns a distilled set; ``shuffle`` and ``labels`` as in ProtocolConfig."""

    labels: LabelsConfig = LabelsConfig()
    shuffle: int = 1


class TaughtSettings(Config):
    """Training of a learner by a protocol, as a student of the set so far; see LearnerConfig.

    ``protocol`` is its name.
    """

    architecture: str
    ema_decay: float
    protocol: str
    lesson: StudentSettings


class WatchedSettings(Config):
    """Training of the network whose probabilities are watched, see analysis.difficulty."""

    architecture: str
    epochs: int
    batch: int
    lr: float
    weight_decay: float


class DynamicsSettings(Config):
    """Training of networks whose learning of every image is scored, see networks.dynamics."""

    architecture: str
    seed: int
    networks: int
    early: int
    training: TrainingSettings


class AloneSettings(TrainingSettings):
    """Training of a network on one increment alone, see students.cross_accuracies."""

    architecture: str


class DrawSettings(Config):
    """What decides the images of an increment: their source, their number, what that source reads.

    ``keys`` is of the model of the source, see kinds.ImageSource. ``reference_weight`` is that of
    the score of candidates; None where nothing is scored.
    """

    source: str
    ipc_per_increment: int
    keys: SerializeAsAny[Config]
    reference_weight: float | None = None

    @field_validator("keys", mode="before")
    @classmethod
    def _read_by_the_source(cls, value: Any, info: ValidationInfo) -> Config:
        model = image_sources()[info.data["source"]].model
        return model.model_validate(value) if isinstance(value, dict) else value

    @property
    def factor(self) -> int:
        """The factor f by which each stored image holds f x f images."""
        return image_sources()[self.source].factor(self.keys)


class ChoiceSettings(Config):
    """What chooses among candidates, and what that rule reads; ``keys`` is None without any."""

    select: str = "learnability"
    keys: SerializeAsAny[Config] | None = None

    @field_validator("keys", mode="before")
    @classmethod
    def _read_by_the_rule(cls, value: Any, info: ValidationInfo) -> Config | None:
        model = choice_kinds()[info.data["select"]].settings
        return model.model_validate(value) if model and isinstance(value, dict) else value

    @property
    def kind(self) -> ChoiceKind:
        """The rule."""
        return choice_kinds()[self.select]


class SeedSettings(Config):
    """What decides increment 0: where it comes from, and what is read of the method then.

    ``draw`` and ``choice`` belong to the source own, ``sampler`` to prior, ``through_autoencoder``
    to real and folder; None elsewhere. ``choice`` is also None where learnability chooses.
    """

    source: str
    ipc_per_increment: int
    draw: DrawSettings | None = None
    choice: ChoiceSettings | None = Field(default=None, exclude_if=lambda choice: choice is None)
    sampler: SamplerConfig | None = None
    through_autoencoder: bool | None = None
