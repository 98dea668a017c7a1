"""Making increments: from a method's source of images or, for increment 0, from its seed."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lgd_core.base.decoding import decode, fit
from lgd_core.config.external import seed_images
from lgd_core.config.kinds import image_sources
from lgd_core.config.settings import ClassNames, DrawSettings, SeedSettings
from lgd_core.distill.context import Candidates, SourceContext, as_candidates, unguided_increment
from lgd_core.distill.drawing import draw
from lgd_core.distill.sources.real import StoredSettings


def draw_candidates(context: SourceContext[DrawSettings]) -> Candidates:
    """Return the candidates of an increment for the classes of a shard, and the guidance trace."""
    settings = context.settings
    return image_sources()[settings.source].make(context.with_settings(settings.keys))


def draw_seed(
    context: SourceContext[SeedSettings], folder: str | None = None, names: ClassNames | None = None
) -> dict[str, Tensor]:
    """Return increment 0 of a method as candidates, unless it is another method's.

    ``folder`` and ``names``, those of the classes, are needed for the source ``folder``.
    """
    settings = context.settings
    if settings.draw is not None:
        return draw_candidates(context.with_settings(settings.draw))[0]
    if settings.sampler is not None:
        spec = unguided_increment(settings.sampler, *context.drawn)
        return draw(context.prior, context.artifacts, spec, context.checkpoint)[0]
    through = bool(settings.through_autoencoder)
    if folder is not None and names is not None:
        return folder_candidates(folder, names, context, through)
    stored = StoredSettings(through_autoencoder=through)
    return image_sources()["real"].make(context.with_settings(stored))[0]


def folder_candidates(
    folder: str | Path,
    names: ClassNames,
    context: SourceContext[SeedSettings],
    through_autoencoder: bool,
) -> dict[str, Tensor]:
    """Return the first images, by name, of every class folder, at the data set's size.

    Raises UserError if there are too few folders or images, see external.seed_images.
    """
    seen = context.seen
    files = seed_images(folder, names, context.ipc)
    images = [fit(decode(file, seen.image.channels), seen.image.size) for file in files]
    ordered = torch.as_tensor(np.stack(images))
    return as_candidates(ordered, seen.classes, through_autoencoder, context.prior)
