"""Keys of mosaics: images made of the crops of real images that a network is surest of."""

from pydantic import Field

from lgd_core.config.models.base import Config, Count, PositiveFraction


class MosaicConfig(Config):
    """Mosaics of real crops."""

    images: Count = Field(
        default=300,
        description=(
            "Random training images per class that crops are taken of; all of a smaller class."
        ),
    )
    crops: Count = Field(
        default=5, description="Crops per image, of which the one with the lowest loss counts."
    )
    factor: int = Field(
        default=2, ge=1, le=8, description="Each mosaic holds factor x factor crops."
    )
    crop_scale: list[PositiveFraction] = Field(
        default=[0.08, 1.0],
        min_length=2,
        max_length=2,
        description="Least and greatest share of an image's area that a crop keeps.",
    )
