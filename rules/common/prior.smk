"""Inputs of the stages that find, train, tune and assess priors."""

from pathlib import Path

from lgd_core.config.checks import check_held_out
from lgd_core.config.prior_files import is_hub_name

PRIOR = "results/{dataset}/prior_source.json"
TUNED_PRIOR = "results/{dataset}/{method}/prior_source.json"


def prior_files(wildcards):
    """Return the files of the prior that lie here before the workflow fetches any."""
    checked(RECIPES.check_prior, wildcards.dataset)
    prior = dataset_of(wildcards).prior
    if prior.source == "train":
        return [f"results/{wildcards.dataset}/prior"]
    return sorted(
        str(path)
        for folder in (prior.source, prior.vae)
        if folder and not is_hub_name(folder)
        for path in Path(folder).rglob("*.*")
        if path.suffix in (".json", ".safetensors", ".bin")
    )


def real_to_compare(wildcards):
    """Return the real images that a prior's are compared with; some must be held out."""
    where = f"config/datasets/{wildcards.dataset}.yaml"
    checked(check_held_out, dataset_of(wildcards), where, "prior_quality.json")
    return arrays("train", "validation")


def names_of_prior(wildcards):
    """Return the names that a prior has for a data set's classes; None where it knows their labels."""
    dataset = dataset_of(wildcards)
    return None if dataset.prior.labels else dataset.class_names


def prior_source(wildcards):
    """Return where the prior comes from: folders or hub names, and revisions."""
    prior = dataset_of(wildcards).prior
    made = f"results/{wildcards.dataset}/prior"
    return {
        "source": made if prior.source == "train" else prior.source,
        "revision": prior.revision,
        "vae": prior.vae,
        "vae_revision": prior.vae_revision,
    }
