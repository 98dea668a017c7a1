"""Inputs and settings of the stages that fetch and prepare real images."""

from functools import cache, partial
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.config.sources import fetching_keys, preparing_keys

SPLITS = ("train", "originals", "validation", "test")
SOURCE_RECORD = "results/{dataset}/data/listing.json"
PREPARED = "results/{dataset}/data/prepared.json"


def source_of(wildcards):
    """Return a data set's source with its folder, which may be missing."""
    return checked(RECIPES.source_of, wildcards.dataset)


def where_images_lie(wildcards, threads):
    """Return a data set's source with its folder, for jobs that read files of images.

    A function with `threads` does not trigger reruns: a folder may be moved.
    """
    return canonical(source_of(wildcards))


def name_of_dataset(wildcards, threads):
    """Return a data set's name, which decides its split and which the cache would not know.

    A function with `threads` does not trigger reruns.
    """
    return wildcards.dataset


def prepared_settings(wildcards):
    """Return the settings that a data set's arrays depend on, in addition to its image files."""
    dataset = dataset_of(wildcards)
    return stage(
        "prepare_dataset",
        2,
        source=preparing_keys(source_of(wildcards)),
        image=dataset.image,
        classes=dataset.class_ids,
        wnids=dataset.wnids,
    )


@cache
def source_images(dataset):
    """Return the identity of the files behind a data set's arrays, checked before any job.

    It stays the same if a folder is moved or touched, and changes if its contents change.
    """
    wildcards = SimpleNamespace(dataset=dataset)
    made = Made(
        record=SOURCE_RECORD.format(dataset=dataset),
        outputs=[path.format(dataset=dataset) for path in arrays(*SPLITS)],
        recipe=prepared_settings(wildcards),
    )
    found = (RECIPES.list_source, RECIPES.watch_source)
    return checked(made.identity, *(partial(function, dataset) for function in found))


def array_files(*splits):
    """Return the paths of the arrays of some splits, by name."""
    names = [f"{split}_{part}" for split in splits for part in ("images", "labels")]
    return {name: f"results/{{dataset}}/data/{name}.npy" for name in names}


def arrays(*splits):
    """Return the input files for some splits: their arrays, and the record with their digests."""
    return [*array_files(*splits).values(), PREPARED]
