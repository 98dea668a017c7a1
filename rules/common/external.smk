"""Inputs and settings of the stages that read and diagnose sets from elsewhere."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.exchange.arriving import list_set

HUB_RECORD = "results/external/{external}/source.json"
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
        external=external.deciding,
        stored=stored_images(external_dataset(wildcards)),
        names=class_names(external_dataset(wildcards)),
    )


@cache
def set_images(external):
    """Return the identity of a folder's images and manifest, checked before any job.

    It stays the same if the folder is moved or touched, and changes if its contents change. None
    for a set of the hub, which has a record of its own.
    """
    wildcards = SimpleNamespace(external=external)
    if external_of(wildcards).is_on_hub:
        return None
    made = Made(
        record=SET_RECORD.format(external=external),
        outputs=[path.format(external=external) for path in SET_FILES.values()],
        recipe=set_settings(wildcards),
    )
    names = class_names(external_dataset(wildcards))
    arguments = (external, external_of(wildcards), names)
    return checked(made.identity, lambda: list_set(*arguments))


def hub_record(wildcards):
    """Return the record of a set that was fetched from the hub, as an input; none for others."""
    return {"source": HUB_RECORD} if external_of(wildcards).is_on_hub else {}


def external_real(*names):
    """Return an input function for files of the data set that a folder belongs to."""
    return lambda wildcards: [
        f"results/{external_of(wildcards).dataset}/{name}" for name in names
    ]


# A set named in the run must exist, or have been read, even if no target needs it.
for external, entry in RECIPES.external.items():
    if not Path(entry.folder).exists():
        set_images(external)
