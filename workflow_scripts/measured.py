"""Measurements of single images, as the rules that draw them read them."""

import pandas as pd
from job import Job

from lgd_core.analysis.difficulty import difficulty_frame, load_measured
from lgd_core.figures.styles import REAL


def measured_images(job: Job) -> pd.DataFrame:
    """Return one row per image of every method and seed, and of the real set, called ``real``."""
    inputs = job.snakemake.input
    parts = [_images_of(job, path) for path in (*inputs.samples, *inputs.real)]
    return pd.concat(parts, ignore_index=True)


def _images_of(job: Job, path: str) -> pd.DataFrame:
    tensors, metadata = load_measured(path, len(job.settings["classes"]))
    places = {
        "method": metadata.get("method", REAL),
        "seed": int(metadata["seed"]),
        "class": [job.settings["classes"][label] for label in tensors["labels"].tolist()],
        "increment": tensors["increments"].numpy(),
        "position": tensors["positions"].numpy(),
    }
    frame = difficulty_frame(tensors["probabilities"], **job.settings["zones"]).assign(
        confidence=tensors["confidence"].numpy(),
        misclassified=(tensors["predicted"] != tensors["labels"]).int().numpy(),
    )
    return pd.concat([pd.DataFrame(places), frame], axis=1)
