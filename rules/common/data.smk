"""Inputs and settings of the stages that fetch and prepare real images."""

from functools import cache
from types import SimpleNamespace

from lgd_core.base.listings import Made

SPLITS = ("train", "originals", "validation", "test")
SOURCE_RECORD = "results/{dataset}/data/listing.json"
PREPARED = "results/{dataset}/data/prepared.json"


def source_of(wildcards):
    """Return a data set's source with the folder, which need not be there."""
    return checked(RECIPES.source_of, wildcards.dataset)


def source_settings(wildcards, *keys, of_fonts=()):
    """Return the keys of a data set's source that decide what a stage makes of its files."""
    source = source_of(wildcards)
    # Keys that only fonts have are no reason for the stages of other data sets to run again.
    more = of_fonts if source.kind == "fonts" else ()
    return {key: getattr(source, key) for key in (*keys, *more)}


def prepared_settings(wildcards):
    """Return what decides the arrays of a data set beside the files of its images."""
    dataset = dataset_of(wildcards)
    return stage(
        "prepare_dataset",
        2,
        source=source_settings(
            wildcards,
            "kind",
            "validation_fraction",
            "skip_broken",
            of_fonts=["characters", "exclude", "test_fraction", "min_distance"],
        ),
        image=dataset.image,
        classes=dataset.class_names,
        wnids=dataset.wnids,
    )


@cache
def source_images(dataset):
    """Return the identity of the files that a data set's arrays are made of, checked before any job.

    It stays where a folder is moved or touched, and changes with what is in it.
    """
    wildcards = SimpleNamespace(dataset=dataset)
    made = Made(
        record=SOURCE_RECORD.format(dataset=dataset),
        outputs=[path.format(dataset=dataset) for path in arrays(*SPLITS)],
        recipe=prepared_settings(wildcards),
    )
    return checked(made.identity, lambda: RECIPES.list_source(dataset))


def array_files(*splits):
    """Return the paths of the arrays of some splits."""
    return [
        f"results/{{dataset}}/data/{split}_{part}.npy"
        for split in splits
        for part in ("images", "labels")
    ]


def arrays(*splits):
    """Return what a stage reads of some splits: their arrays, and what tells whether they are whole."""
    return [*array_files(*splits), PREPARED]
