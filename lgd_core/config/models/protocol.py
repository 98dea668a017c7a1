"""Keys of an evaluation protocol: files in config/protocols."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lgd_core.config.models.base import (
    AdamWDecay,
    Config,
    Count,
    DisagreementError,
    Fraction,
    LearningRate,
)
from lgd_core.config.models.dataset import AugmentConfig

OptimiserName = Literal["adamw", "adam"]
Decayed = Literal["all", "matrices"]


class LabelsConfig(Config):
    """What students learn: labels of classes, or a teacher's distribution over classes."""

    source: Literal["class", "stored", "online"] = Field(
        default="class",
        description=(
            "class: the class of the image; stored: the teacher's distribution for the image or "
            "its regions, computed once without augmentation; online: the teacher's distribution "
            "for every batch as the student sees it, augmented and mixed."
        ),
    )
    teacher: Literal["reference"] = Field(
        default="reference",
        description="Network that gives the distributions: the reference model of the data set.",
    )
    temperature: float = Field(
        default=1.0,
        gt=0,
        description="Temperature of the softmax of both teacher and student.",
    )
    regions: Count = Field(
        default=1,
        description=(
            "Images are cut into regions x regions parts, which students see one by one at full "
            "size. Stored labels belong to a region."
        ),
    )
    top: Count | None = Field(
        default=None,
        description=(
            "Largest probabilities that are stored per label; the rest is spread evenly over the "
            "other classes. null stores all."
        ),
    )

    @model_validator(mode="after")
    def _only_stored_labels_are_cut(self) -> Self:
        if self.top is not None and self.source != "stored":
            raise DisagreementError(
                "top", f"found {self.top}, expected null, since labels are not stored"
            )
        return self


class OptimiserConfig(Config):
    """The optimiser of students."""

    name: OptimiserName = Field(default="adamw", description="Optimiser.")
    lr: LearningRate | None = Field(
        default=None, description="Highest learning rate; null takes the data set's."
    )
    weight_decay: AdamWDecay | None = Field(
        default=None, description="Weight decay; null takes the data set's."
    )
    decayed: Decayed = Field(
        default="all",
        description=(
            "Parameters that decay: all, or matrices for those of two or more dimensions, which "
            "leaves out biases and norms."
        ),
    )


class ScheduleConfig(Config):
    """The learning rate over the epochs, changed after every epoch."""

    kind: Literal["steps", "cosine"] = Field(
        default="steps",
        description=(
            "steps: times 0.2 after 2/3 and again after 5/6 of the epochs; cosine: "
            "(1 + cos(pi e / (smoothing E))) / 2 of the highest rate after e of E epochs."
        ),
    )
    smoothing: float = Field(
        default=1.0,
        ge=1,
        description="Stretches the cosine: 1 ends at 0, 2 ends at half of the highest rate.",
    )


class EvaluationsConfig(Config):
    """After which epochs students are tested; the last epoch always is one of them."""

    count: Count | None = Field(
        default=None,
        description="Evaluations, evenly spread; null takes the data set's. Not used with every.",
    )
    every: Count | None = Field(default=None, description="Epochs between two evaluations.")
    after: Fraction = Field(
        default=0.0, description="Share of the epochs before which nothing is evaluated."
    )


class ProtocolConfig(Config):
    """How students learn a distilled set, and when they are tested. What a file leaves out or sets
    to null is as `evaluation` and `augment` of the data set say.
    """

    description: str = Field(default="", description="One line on what students learn.")
    labels: LabelsConfig = Field(default_factory=LabelsConfig)
    epochs: Annotated[dict[Count, Count], Field(min_length=1)] | None = Field(
        default=None,
        description=(
            "Images per class to epochs; an amount between two takes the next greater one's. null "
            "takes the data set's."
        ),
    )
    steps: Count | None = Field(
        default=None, description="Training steps instead of epochs, for sets of any size."
    )
    batch: Count | Annotated[dict[Count, Count], Field(min_length=1)] | None = Field(
        default=None,
        description=(
            "Images per step, or images per class to images per step, for students with no values "
            "in between; see learner.protocol of methods for learners. At most the whole set. null "
            "takes the data set's."
        ),
    )
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    cutmix: bool | None = Field(
        default=None, description="Whether batches are mixed by CutMix; null takes the data set's."
    )
    augment: AugmentConfig | None = Field(
        default=None, description="Augmentation of training images; null takes the data set's."
    )
    shuffle: Count = Field(
        default=1,
        description=(
            "Before augmentation images are cut into shuffle columns and as many rows, and these "
            "are put into random order; 1 leaves them as they are."
        ),
    )
    evaluations: EvaluationsConfig = Field(default_factory=EvaluationsConfig)
    students: dict[str, dict[Any, Any]] = Field(
        default={},
        description="Architecture to the keys that differ for it, laid over the others.",
    )

    @model_validator(mode="after")
    def _length_is_epochs_or_steps(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise DisagreementError("steps", "found steps and epochs, expected one of them")
        return self
