"""Keys of a data set: files in config/datasets."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lgd_core.config.data_kinds import kind_of, source_model
from lgd_core.config.models.base import (
    Absent,
    AdamWDecay,
    AdamWRate,
    Batch,
    Config,
    Count,
    Decay,
    DisagreementError,
    Distinct,
    Evaluations,
    Fraction,
    LearningRate,
    Line,
    Natural,
    PositiveFraction,
    Text,
    Weight,
)
from lgd_core.config.models.images import (
    ClassConfig,
    ImageConfig,
    NormaliseConfig,
)

# diffusers embeds positions by sine and cosine of two coordinates.
EMBEDDED = 4


class SourceConfig(source_model()):
    """Where the real images come from; every kind of data set has keys of its own."""


class OptimisedConfig(Config):
    """Training of a part of a prior by AdamW with warm-up and cosine decay."""

    steps: Count = Field(default=3600, description="Training steps.")
    batch: Count = Field(default=64, description="Images per step.")
    lr: LearningRate = Field(default=2.0e-3, description="Highest learning rate.")
    ema_decay: Decay = Field(default=0.999, description="Decay of the weight average that is kept.")


class AutoencoderConfig(OptimisedConfig):
    """The autoencoder."""

    widths: list[Count] = Field(
        default=[16, 32, 64],
        min_length=1,
        description="Channels per resolution; every width but the first halves it.",
    )
    norm_groups: Count = Field(default=8, description="Groups of its group norms.")
    latent_channels: Count = Field(default=8, description="Channels of a latent.")
    kl_weight: Weight = Field(
        default=2.0e-5, description="Weight of the KL divergence per latent element."
    )
    feature_weight: Weight = Field(
        default=0.03, description="Weight of the distance in the reference model's feature maps."
    )


class TransformerConfig(OptimisedConfig):
    """The diffusion transformer."""

    heads: Count = Field(default=6, description="Attention heads.")
    head_dim: int = Field(default=32, ge=4, description="Width of a head.")
    layers: Count = Field(default=5, description="Transformer blocks.")
    patch_size: Count = Field(default=1, description="Latent pixels per token and side.")
    label_dropout: Fraction = Field(
        default=0.1, description="Share of labels replaced by the null class."
    )
    min_snr_gamma: float = Field(
        default=5.0, gt=0, description="Cap of the signal-to-noise weight of the loss."
    )
    steps: Count = Field(default=6000, description="Training steps.")
    batch: Count = Field(default=128, description="Images per step.")
    lr: LearningRate = Field(default=1.0e-3, description="Highest learning rate.")


class TrainedPriorConfig(Config):
    """Training from scratch."""

    seed: Natural = Field(default=0, description="Seed of the training.")
    autoencoder: AutoencoderConfig = Field(default_factory=AutoencoderConfig)
    transformer: TransformerConfig = Field(default_factory=TransformerConfig)


class SmallDecoderTrainConfig(OptimisedConfig):
    """Training of a small decoder, an AutoencoderTiny."""

    seed: Natural = Field(default=0, description="Seed of the training.")
    width: Count = Field(default=16, description="Channels at every resolution.")
    blocks: list[Natural] = Field(
        default=[3, 2, 0],
        min_length=1,
        description=(
            "Residual blocks per resolution, the smallest first; as many numbers as the "
            "autoencoder has widths."
        ),
    )
    noise: Weight = Field(
        default=0.5, description="Largest noise of latents, as x0 has it while it is guided."
    )
    steps: Count = Field(default=3000, description="Training steps.")
    lr: LearningRate = Field(default=3.0e-3, description="Highest learning rate.")


class SmallDecoderConfig(Config):
    """A small decoder of the prior's latents, for guidance."""

    source: str | None = Field(
        default=None,
        description=(
            "Folder or hub name of an AutoencoderTiny that decodes the prior's latents, or train "
            "to make one; null means none. Methods use it by guidance.decoder: small."
        ),
    )
    revision: str | None = Field(default=None, description="Revision of a hub name.")
    train: SmallDecoderTrainConfig = Field(default_factory=SmallDecoderTrainConfig)


class PriorConfig(Config):
    """The pretrained diffusion model."""

    source: str = Field(
        default="train",
        description="A DiTPipeline folder, a hub name, or train to make one from prior.train.",
    )
    revision: str | None = Field(default=None, description="Revision of a hub name.")
    vae: str | None = Field(
        default=None, description="Folder or hub name of another autoencoder than the prior's own."
    )
    vae_revision: str | None = Field(
        default=None, description="Revision of the autoencoder's hub name."
    )
    frequency_shift: Literal[0, 1] | None = Field(
        default=None,
        description=(
            "Shift of the frequencies that embed timesteps. Weights of DiT's authors need 0, "
            "diffusers takes 1; null takes what the prior's own folder says."
        ),
    )
    licence: str | None = Field(
        default=None,
        description="Licence of the weights, as hubs name it; the card of an exported set says it.",
    )
    labels: list[Natural] = Field(
        default=[], description="The prior's class index of every class; empty means 0, 1, 2, ..."
    )
    train: TrainedPriorConfig = Field(default_factory=TrainedPriorConfig)
    small_decoder: SmallDecoderConfig = Field(default_factory=SmallDecoderConfig)


class JitterConfig(Config):
    """Largest change of colours, as a share; 0 for none."""

    brightness: Fraction = Field(default=0, description="Largest step towards or away from black.")
    contrast: Fraction = Field(
        default=0, description="Largest step towards or away from the image's mean grey."
    )
    saturation: Fraction = Field(
        default=0, description="Largest step towards or away from the grey image."
    )


class AugmentConfig(Config):
    """Training augmentation, drawn per image."""

    crop_scale: list[PositiveFraction] = Field(
        default=[0.5, 1.0],
        min_length=2,
        max_length=2,
        description="Least and greatest share of the area that a random crop keeps.",
    )
    crop_ratio: list[Annotated[float, Field(gt=0)]] = Field(
        default=[0.75, 1.3333333],
        min_length=2,
        max_length=2,
        description="Least and greatest aspect ratio of a crop.",
    )
    flip: Fraction = Field(default=0.5, description="Probability of a horizontal flip.")
    jitter: JitterConfig = Field(default_factory=JitterConfig)
    lighting: Fraction = Field(
        default=0,
        description="Standard deviation of shifts along ImageNet's colour components; 0 for none.",
    )

    @model_validator(mode="after")
    def _crops_have_their_least_first(self) -> Self:
        for key in ("crop_scale", "crop_ratio"):
            least, greatest = getattr(self, key)
            if least > greatest:
                raise DisagreementError(
                    key, f"found [{least}, {greatest}], expected the smaller one first"
                )
        return self


class NetworkConfig(Config):
    """A network that is trained on all real training images without CutMix."""

    architecture: str = Field(default="ResNetAP-10", description="Architecture of the network.")
    seed: Natural = Field(default=0, description="Seed of the network.")
    epochs: Count = Field(default=300, description="Epochs over the real training images.")
    batch: Batch = 64
    lr: AdamWRate = 1.0e-3
    weight_decay: AdamWDecay = 0.01


class ReferenceConfig(NetworkConfig):
    """The reference model, trained on all real training images without CutMix, or read."""

    architecture: str = Field(default="ResNetAP-10", description="Architecture of the reference.")
    weights: Text | None = Field(
        default=None,
        description=(
            "Weights that are read instead of training: a .pth, .pt or .safetensors file, or "
            "IMAGENET1K_V1 for those of torchvision in PyTorch's cache (ResNet-18-bn). Of 1000 "
            "classes those of the data set are kept, by their wnids."
        ),
    )
    seed: Natural = Field(default=0, description="Seed of the reference.")
    evaluations: Evaluations = 100


class SurrogateConfig(NetworkConfig):
    """The network whose gradients are compared, trained without CutMix."""

    architecture: str = Field(default="ConvNet-6", description="Architecture of the surrogate.")
    seed: Natural = Field(
        default=0,
        description="Seed of the surrogate, and of the images that class gradients are taken of.",
    )
    epochs: Count = Field(default=50, description="Most epochs over the real training images.")


class ClassGradientsConfig(Config):
    """What influence guidance aims at: class gradients of the real training images, at checkpoints
    of a surrogate trained on them. Made once per data set, if a method asks for it.
    """

    surrogate: SurrogateConfig = Field(default_factory=SurrogateConfig)
    threshold: float = Field(
        default=0.7,
        ge=-1,
        le=1,
        description=(
            "A checkpoint is kept where the cosine between its class gradients and those of the "
            "one kept before it, averaged over classes, is lower; looked at after every epoch."
        ),
    )
    max_checkpoints: Count = Field(
        default=5,
        description="Most checkpoints kept; the surrogate's training ends with the last of them.",
    )
    gradient_images: Count = Field(
        default=200,
        description=(
            "Real images that the gradient of a class is averaged over; all of a class that has "
            "fewer."
        ),
    )


class EvaluationConfig(Config):
    """How distilled sets are evaluated: by which protocols and students, and what protocols take
    of the data set.
    """

    protocols: Distinct[str] = Field(
        default=["hard"],
        min_length=1,
        description=(
            "Protocols of this data set unless the run names others: names of files in "
            "config/protocols."
        ),
    )
    students: list[str] = Field(
        default=["ConvNet-6", "ResNetAP-10", "ResNet-18"],
        min_length=1,
        description="Architectures trained on a distilled set unless the run names others.",
    )
    epochs: dict[Count, Count] = Field(
        default={10: 2000, 50: 1500, 100: 1000},
        min_length=1,
        description=(
            "Images per class to epochs; an amount between two takes the next greater one's."
        ),
    )
    batch: Batch = 64
    lr: LearningRate = Field(default=1.0e-3, description="Highest learning rate.")
    weight_decay: AdamWDecay = 0.01
    cutmix: bool = Field(default=True, description="Whether students train with CutMix.")
    evaluations: Evaluations = 100


class RedundancyConfig(Config):
    """The cross-increment analysis."""

    architecture: str = Field(
        default="ResNetAP-10", description="Architecture trained on one increment alone."
    )
    epochs: Count = Field(default=2000, description="Epochs on that increment.")


class DifficultyConfig(Config):
    """The difficulty analysis: a network of redundancy.architecture trained on a set, at the
    evaluation's rate and batch, and its probability of every image's class after each epoch.
    """

    epochs: int = Field(default=50, ge=2, description="Epochs over the set.")


class DynamicsConfig(Config):
    """The scores of how real images are learned: networks like a trained reference, at its rate,
    batch, decay and epochs, on all training images.
    """

    architecture: str | None = Field(
        default=None, description="Architecture of the networks; null means reference.architecture."
    )
    seed: Natural = Field(default=0, description="Seed of the networks.")
    networks: Count = Field(
        default=1, description="Networks over which scores are averaged; EL2N's authors take 10."
    )
    early: Count = Field(
        default=10, description="Epochs from the first on over which EL2N is averaged."
    )


class DatasetConfig(Config):
    """A data set with its prior, reference model and evaluation protocol."""

    description: str = Field(default="", description="One line for tables and the report.")
    extends: str | Absent = Field(
        default=None,
        description=(
            "The data set whose keys this recipe starts from, but for description and licence. "
            "A source or a prior of this recipe replaces the other's as a whole."
        ),
    )
    licence: str | None = Field(
        default=None,
        description="Licence of the images, as hubs name it; the card of an exported set says it.",
    )
    classes: Distinct[Line | ClassConfig] = Field(
        min_length=2,
        # Recipes replaces the name of a file by the classes in it, see classes.read_classes.
        json_schema_extra={"type": ["array", "string"]},
        description=(
            "In label order, class names or, for ImageNet's classes, mappings of wnid, name and "
            "perhaps index: the wnid decides the label of a pretrained prior. Or a CSV file with "
            "the columns name and, for ImageNet's classes, wnid."
        ),
    )
    image: ImageConfig
    normalise: NormaliseConfig
    source: SourceConfig
    prior: PriorConfig = Field(default_factory=PriorConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    reference: ReferenceConfig = Field(default_factory=ReferenceConfig)
    influence: ClassGradientsConfig = Field(default_factory=ClassGradientsConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    redundancy: RedundancyConfig = Field(default_factory=RedundancyConfig)
    difficulty: DifficultyConfig = Field(default_factory=DifficultyConfig)
    dynamics: DynamicsConfig = Field(default_factory=DynamicsConfig)
    protocols: dict[str, dict[Any, Any]] = Field(
        default={},
        description=(
            "Protocol name to the keys that suit this data set, laid over the protocol's file."
        ),
    )
    recipes: dict[str, dict[Any, Any]] = Field(
        default={},
        description=(
            "Method name to the keys that suit this data set, laid over the method's file and "
            "inherited by every method that extends it."
        ),
    )

    @property
    def class_names(self) -> list[str]:
        """The name of every class in tables and figures, in label order."""
        return [item if isinstance(item, str) else item.name for item in self.classes]

    @property
    def wnids(self) -> list[str]:
        """The WordNet id of every class, in label order; empty where classes are plain names."""
        return [item.wnid for item in self.classes if not isinstance(item, str)]

    @property
    def class_ids(self) -> list[str]:
        """What tells classes apart, in label order: wnids, or names where there are none."""
        return self.wnids or self.class_names

    @model_validator(mode="after")
    def _source_has_what_its_kind_needs(self) -> Self:
        kind = kind_of(self.source)
        if self.source.stream and not kind.of_files:
            raise DisagreementError(
                "source.stream",
                f"found true, expected false for {self.source.kind}, whose images are not files",
            )
        kind.check(kind.wanted(self.class_names, self.wnids, self.image, self.source))
        return self

    @model_validator(mode="after")
    def _test_images_fill_their_frame(self) -> Self:
        found, side = self.source.test_resize, self.image.train_size or self.image.size
        if found is not None and found < side:
            raise DisagreementError(
                "source.test_resize", f"found {found}, expected at least {side}, what networks see"
            )
        return self

    @model_validator(mode="after")
    def _channels_agree(self) -> Self:
        channels = self.image.channels
        for key in ("mean", "std"):
            found = len(getattr(self.normalise, key))
            if found != channels:
                raise DisagreementError(
                    f"normalise.{key}",
                    f"found {found} values, expected {channels}, one per image channel",
                )
        if self.augment.lighting and channels != 3:
            raise DisagreementError(
                "augment.lighting",
                f"found {self.augment.lighting}, expected 0 for grey images, since it "
                "shifts colours",
            )
        return self

    @model_validator(mode="after")
    def _labels_are_one_per_class(self) -> Self:
        found, classes = len(self.prior.labels), len(self.classes)
        if found and found != classes:
            raise DisagreementError(
                "prior.labels", f"found {found}, expected {classes}, one per class"
            )
        return self

    @model_validator(mode="after")
    def _a_prior_to_train_can_be_built(self) -> Self:
        if self.prior.source == "train" and self.source.stream:
            raise DisagreementError(
                "prior.source",
                "found train, expected a pretrained prior with source.stream, since training one "
                "reads all images into memory",
            )
        if self.prior.source == "train":
            _check_networks(self.prior.train, self.image.size)
        return self


def _check_networks(train: TrainedPriorConfig, size: int) -> None:
    """Raise DisagreementError unless the networks of a prior can be built for images of ``size``.

    diffusers would find out when both are built, and the transformer comes after the autoencoder.
    """
    autoencoder, transformer = train.autoencoder, train.transformer
    halvings = len(autoencoder.widths) - 1
    factor = 2**halvings
    if size % factor:
        raise DisagreementError(
            "prior.train.autoencoder.widths",
            f"found {halvings + 1} widths, which halve the resolution {halvings} times, "
            f"expected fewer for images of {size} pixels",
        )
    for width in autoencoder.widths:
        if width % autoencoder.norm_groups:
            raise DisagreementError(
                "prior.train.autoencoder.widths",
                f"found {width}, expected multiples of {autoencoder.norm_groups}, the norm_groups",
            )
    if size // factor % transformer.patch_size:
        raise DisagreementError(
            "prior.train.transformer.patch_size",
            f"found {transformer.patch_size}, expected a divisor of {size // factor}, the side of "
            "a latent",
        )
    if transformer.heads * transformer.head_dim % EMBEDDED:
        raise DisagreementError(
            "prior.train.transformer",
            f"found {transformer.heads} heads of head_dim {transformer.head_dim}, expected a "
            f"product that is a multiple of {EMBEDDED}",
        )
