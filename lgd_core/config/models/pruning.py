"""Keys of real images chosen by how a network learned them."""

from typing import Literal

from pydantic import Field

from lgd_core.config.models.base import Config, Count, Fraction


class PruningConfig(Config):
    """Real images chosen class by class by a score of how a network learned them."""

    score: Literal["el2n", "forgetting", "aum"] = Field(
        default="el2n",
        description=(
            "el2n (mean error early in training, Paul et al., 2021), forgetting (how often an "
            "image was right and then wrong, Toneva et al., 2019), or aum (mean margin over all of "
            "training, Pleiss et al., 2020; a low one is hard)."
        ),
    )
    keep: Literal["hardest", "easiest", "strata"] = Field(
        default="hardest",
        description=(
            "The hardest images, the easiest, or as many from each of the strata of the score "
            "(CCS, Zheng et al., 2023)."
        ),
    )
    cutoff: Fraction = Field(
        default=0.0, description="Share of a class, its hardest images, that is left out first."
    )
    strata: Count = Field(
        default=50, description="Strata of equal width, from the lowest score left to the highest."
    )
