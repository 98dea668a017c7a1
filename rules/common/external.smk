"""Inputs and settings of the stages that diagnose folders of images from elsewhere."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.config.external import list_set

SET_RECORD = "results/external/{external}/listing.json"
SET_FILES = {
    "images": "results/external/{external}/set_images.npy",
    "labels": "results/external/{external}/set_labels.npy",
    "table": "results/external/{external}/set.csv",
    "facts": "results/external/{external}/set.json",
}


def external_of(wildcards):
    """Return the entry of a name under ``external`` of the run: folder, data set, increment."""
    return checked(RECIPES.external_set, wildcards.external)


def external_dataset(wildcards):
    return checked(RECIPES.dataset, external_of(wildcards).dataset)


def set_settings(wildcards):
    """Return the settings that a folder's arrays depend on, in addition to its files."""
    external = external_of(wildcards)
    return stage(
        "read_external",
        2,
        external={"dataset": external.dataset, "increment": external.increment},
        stored=stored_images(external_dataset(wildcards)),
        names=class_names(external_dataset(wildcards)),
    )


@cache
def set_images(external):
    """Return the identity of a folder's images and manifest, checked before any job.

    It stays the same if the folder is moved or touched, and changes if its contents change.
    """
    wildcards = SimpleNamespace(external=external)
    made = Made(
        record=SET_RECORD.format(external=external),
        outputs=[path.format(external=external) for path in SET_FILES.values()],
        recipe=set_settings(wildcards),
    )
    names = class_names(external_dataset(wildcards))
    arguments = (external, external_of(wildcards), names)
    return checked(made.identity, lambda: list_set(*arguments))


def external_real(*names):
    """Return an input function for files of the data set that a folder belongs to."""
    return lambda wildcards: [
        f"results/{external_of(wildcards).dataset}/{name}" for name in names
    ]


# A folder named in the run must exist, or have been read, even if no target needs it.
for external, entry in RECIPES.external.items():
    if not Path(entry.folder).is_dir():
        set_images(external)
