"""Measurements of single images, gathered over sets."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from lgd_core.analysis.difficulty import difficulty_frame, load_measured


def measured_images(
    paths: Iterable[str], classes: Sequence[str], zones: Mapping[str, float], real: str
) -> pd.DataFrame:
    """Return one row per image of every set: its place in the set, and its measurements.

    ``paths`` are files for difficulty.load_measured, ``zones`` the limits for
    difficulty.difficulty_frame. ``real`` is the method's name in the rows of the real set.
    """
    return pd.concat([_of_set(path, classes, zones, real) for path in paths], ignore_index=True)


def _of_set(
    path: str, classes: Sequence[str], zones: Mapping[str, float], real: str
) -> pd.DataFrame:
    tensors, metadata = load_measured(path, len(classes))
    places = {
        "method": metadata.get("method", real),
        "seed": int(metadata["seed"]),
        "class": [classes[label] for label in tensors["labels"].tolist()],
        "increment": tensors["increments"].numpy(),
        "position": tensors["positions"].numpy(),
    }
    frame = difficulty_frame(tensors["probabilities"], **zones).assign(
        confidence=tensors["confidence"].numpy(),
        misclassified=(tensors["predicted"] != tensors["labels"]).int().numpy(),
    )
    return pd.concat([pd.DataFrame(places), frame], axis=1)
