"""Where the reference model comes from."""

from functools import cache
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.config.weights import list_weights

REFERENCE = "results/{dataset}/reference/model.safetensors"
WEIGHTS_RECORD = "results/{dataset}/reference/listing.json"


def reads_weights(wildcards):
    return dataset_of(wildcards).reference.weights is not None


def reference_stage(wildcards):
    """Return what decides the reference model, without its images and its file of weights."""
    dataset = dataset_of(wildcards)
    images = seen_images if reads_weights(wildcards) else trained_images
    return stage(
        "train_reference",
        1,
        reference=reference_settings(dataset),
        network=images(dataset),
    )


@cache
def reference_weights(dataset):
    """Return the identity of the file of weights, checked before any job; None without one."""
    wildcards = SimpleNamespace(dataset=dataset)
    made = Made(
        record=WEIGHTS_RECORD.format(dataset=dataset),
        outputs=[REFERENCE.format(dataset=dataset)],
        recipe=reference_stage(wildcards),
    )
    arguments = (dataset_of(wildcards).reference, f"config/datasets/{dataset}.yaml")
    if not reads_weights(wildcards):
        return None
    return checked(made.identity, lambda: list_weights(*arguments))
