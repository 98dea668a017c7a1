"""Keys of a run: config/config.yaml, and files beside it that are laid over it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lgd_core.config.models.base import (
    Config,
    Count,
    DisagreementError,
    Distinct,
    Fraction,
    LearningRate,
    Natural,
    PositiveFraction,
    Text,
    Weight,
    matching,
)

# Names of recipes to keys that are laid over theirs, which are checked as those of files are.
Overrides = dict[str, dict[Any, Any] | None]


class ExternalConfig(Config):
    """A set of images from elsewhere, and what they are."""

    folder: Text = Field(
        description=(
            "Folder or file, or the hub name of a data set: class folders named by wnid, name or "
            "number, Parquet, tar files of WebDataset, or tensors (.safetensors, .pt)."
        )
    )
    dataset: str | None = Field(
        default=None,
        description="Data set that the classes belong to; null means the run's, if it has one.",
    )
    increment: Count = Field(
        default=10,
        description=(
            "Images per class of an increment, where the set does not say; of each increment of "
            "the method external:NAME."
        ),
    )
    factor: Count = Field(
        default=1,
        description="Each stored image holds factor x factor smaller ones, as IDC's do.",
    )
    mean: list[Fraction] | None = Field(
        default=None,
        description=(
            "Mean per channel by which the floats of tensors are normalised; null means that of "
            "the set's provenance.json, or floats on [0, 1]."
        ),
    )
    std: list[PositiveFraction] | None = Field(
        default=None, description="Standard deviation per channel, as for mean."
    )
    revision: str | None = Field(default=None, description="Revision of a hub name.")


ExternalName = Annotated[
    str,
    matching(
        "^[A-Za-z0-9][A-Za-z0-9_-]*$",
        "a name of letters, digits, _ and -, the first a letter or digit",
    ),
]


class ExportConfig(Config):
    """What leaves with a distilled set, beside its images and their classes."""

    accuracies: bool = Field(
        default=True,
        description="Whether the card has accuracies of students, which are trained if need be.",
    )
    labels: str | None = Field(
        default=None,
        description=(
            "Protocol whose stored labels leave as logits, one per image; null means no logits."
        ),
    )


class PlotsConfig(Config):
    """How figures look; a change redraws them and nothing else."""

    samples_per_cell: Count = Field(
        default=3, description="Images per class and increment in samples.png."
    )
    classes: Count = Field(
        default=20,
        description=(
            "Classes in samples.png, chosen by their names, and classes that gallery.html shows at "
            "a time. Data sets with no more classes are shown whole, and the page is one file."
        ),
    )
    gallery_side: int = Field(
        default=96,
        ge=16,
        le=512,
        description="Largest side in pixels of an image in gallery.html; larger ones are reduced.",
    )
    dpi: int = Field(default=150, ge=50, le=600, description="Resolution of the figures.")
    colormap: str = Field(
        default="viridis", description="Matplotlib colour map of the redundancy heatmaps."
    )


class AnalysesConfig(Config):
    """What the figures that explain methods are made with; students are not touched."""

    traced_positions: Count = Field(
        default=3,
        description="Positions per class and increment that are redrawn to see what guidance does.",
    )
    easy_mean: Fraction = Field(
        default=0.5,
        description=(
            "Least mean probability of the true class of an easy image; below it, an image is "
            "hard. Either only where the variance is small."
        ),
    )
    informative_variance: float = Field(
        default=0.05,
        ge=0,
        le=0.25,
        description=(
            "Variance of that probability over epochs from which on an image is informative."
        ),
    )
    bins: int = Field(
        default=10, ge=2, le=100, description="Bins per axis of the histogram of mean and variance."
    )
    bootstraps: int = Field(
        default=1000, ge=2, le=100_000, description="Resamples behind the interval of a divergence."
    )


class ScoresConfig(Config):
    """How scores of sets are measured, see "Scores" in docs/results.md; students of the table are
    not touched.
    """

    rounds: int = Field(
        default=5,
        ge=2,
        le=1000,
        description=(
            "Students per set and way of learning, and random subsets that they are compared with; "
            "5 is the least that should be published."
        ),
    )
    rates: Distinct[LearningRate] = Field(
        default=[1.0e-3, 5.0e-3, 1.0e-2, 5.0e-2, 1.0e-1],
        min_length=1,
        description="Learning rates to choose from, by one student each on held-out images.",
    )
    protocol: str | None = Field(
        default=None, description="Protocol of the students; null means the first of the table."
    )
    student: str | None = Field(
        default=None, description="Architecture of the students; null means the first of the table."
    )


class OverridesConfig(Config):
    """Changes laid over recipe files without editing them, checked like the files themselves:
    datasets.NAME holds keys of config/datasets/NAME.yaml, and so do methods, protocols and
    ablations.
    """

    datasets: Overrides = Field(default={}, description="Data set name to changed keys.")
    methods: Overrides = Field(
        default={},
        description="Method name to changed keys, inherited by every method that extends it.",
    )
    protocols: Overrides = Field(default={}, description="Protocol name to changed keys.")
    ablations: Overrides = Field(default={}, description="Family name to changed keys.")


class RunConfig(Config):
    """One run of the workflow."""

    name: Annotated[
        str,
        matching(
            "^([A-Za-z0-9][A-Za-z0-9_-]*)?$",
            "a name of letters, digits, _ and -, the first a letter or digit",
        ),
    ] = Field(
        default="",
        description=(
            "Name of the run, where its tables and figures should not replace those of another; "
            "they lie under results/DATASET_ipcN/NAME then."
        ),
    )
    datasets: Distinct[str] = Field(
        default=["fashionmnist"],
        min_length=1,
        description="Data sets of the default target; names of files in config/datasets.",
    )
    methods: (
        Annotated[Distinct[str], Field(min_length=1)]
        | Annotated[str, matching("^all$", "all or a list such as [lgd]")]
    ) = Field(
        default=["random", "dit", "lgd"],
        description=(
            "Methods to compare, in the order of the table: names of files in config/methods, or "
            "all for every one that fits the data sets."
        ),
    )
    students: Distinct[str] = Field(
        default=[],
        description="Architectures to evaluate with; empty means the students of the data set.",
    )
    protocols: Distinct[str] = Field(
        default=[],
        description=(
            "Protocols by which students learn, in the order of the table: names of files in "
            "config/protocols. Empty means those of the data set."
        ),
    )
    ipc: Distinct[Count] = Field(
        default=[50],
        min_length=1,
        description="Images per class of the default target; multiples of the increment.",
    )
    seeds: Distinct[Natural] = Field(
        default=[0],
        min_length=1,
        description="Seeds of the distillation; each is a distilled set of its own.",
    )
    runs: int = Field(
        default=3,
        ge=1,
        le=1000,
        description=(
            "Students trained from scratch per distilled set. Tables count them as n, or the sets "
            "if there are several seeds."
        ),
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where tensors live; auto takes a GPU if there is one."
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Jobs that share the classes of one increment; never changes the noise drawn.",
    )
    max_batch: Count = Field(
        default=64,
        description=(
            "Images in one forward of the prior; never changes the noise drawn. Halved, and "
            "remembered for the job, where a GPU's memory runs out."
        ),
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description=(
            "How the prior computes: fp32, or bf16 by autocast; auto is bf16 on a GPU, fp32 on a "
            "CPU. Scores, learners and students are always fp32 (TF32 on a GPU)."
        ),
    )
    compile: bool = Field(
        default=False,
        description=(
            "Compile the prior's transformer with torch.compile; pays on a GPU for long runs."
        ),
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Recompute activations of the decoder, and of the transformer, to save memory.",
    )
    checkpoint_seconds: Weight = Field(
        default=30,
        description="Time between two checkpoints of a job, and so the most that a kill can lose.",
    )
    checkpoint_folder: Text = Field(
        default="results/.resume",
        description=(
            "Folder for checkpoints of running jobs. Where the working folder does not outlive a "
            "job, one that does, such as on a mounted volume; no two projects may share it."
        ),
    )
    external: dict[ExternalName, Text | ExternalConfig] = Field(
        default={},
        description=(
            "Name to a set of images from elsewhere, to be diagnosed (see "
            "results/external/NAME/diagnosis.csv), or to stand among methods as external:NAME. A "
            "folder, file or hub name alone, or a mapping."
        ),
    )
    export: ExportConfig = Field(default_factory=ExportConfig)
    plots: PlotsConfig = Field(default_factory=PlotsConfig)
    analyses: AnalysesConfig = Field(default_factory=AnalysesConfig)
    scores: ScoresConfig = Field(default_factory=ScoresConfig)
    overrides: OverridesConfig = Field(default_factory=OverridesConfig)

    @model_validator(mode="after")
    def _name_is_no_folder_of_figures(self) -> Self:
        if self.name == "samples":
            raise DisagreementError("name", "found samples, expected another name")
        return self
