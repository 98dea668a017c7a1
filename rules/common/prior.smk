"""Inputs of the stages that find, train, tune and assess priors."""

from pathlib import Path

from lgd_core.config.checks import check_held_out
from lgd_core.config.divisions import class_runs, phase_count, phases_with
from lgd_core.config.prior_files import is_hub_name, model_files

PRIOR = "results/{dataset}/prior_source.json"
SMALL_DECODER = "results/{dataset}/small_decoder.json"
PHASE = "results/{dataset}/{method}/tuned/{phase}of{phases}.safetensors"


def prior_files(wildcards):
    """Return the local files of the prior, those that need no download."""
    checked(RECIPES.check_prior, wildcards.dataset)
    prior = dataset_of(wildcards).prior
    if prior.source == "train":
        return [f"results/{wildcards.dataset}/prior"]
    return local_files(prior.source, prior.vae)


def small_decoder_files(wildcards):
    """Return the local files of a data set's small decoder, those that need no download."""
    checked(RECIPES.check_small_decoder, wildcards.dataset)
    source = dataset_of(wildcards).prior.small_decoder.source
    if source == "train":
        return [f"results/{wildcards.dataset}/small_decoder"]
    return local_files(source)


def small_decoder_source(wildcards):
    """Return the folder or hub name of the small decoder, its revision, what it has to fit."""
    dataset = dataset_of(wildcards)
    small = dataset.prior.small_decoder
    made = f"results/{wildcards.dataset}/small_decoder"
    return {
        "source": made if small.source == "train" else small.source,
        "revision": small.revision,
        "channels": dataset.image.channels,
    }


def local_files(*sources):
    """Return the files of folders among sources of models; hub names have none yet."""
    paths = sorted(
        str(path)
        for folder in sources
        if folder and not is_hub_name(folder)
        for path in model_files(folder)
    )
    return [local(path) for path in paths]


def stored_prior(wildcards):
    """Return the folder of a trained prior, for jobs that would not find it by its record alone."""
    trained = dataset_of(wildcards).prior.source == "train"
    return [f"results/{wildcards.dataset}/prior"] if IS_STORED and trained else []


def stored_decoder(wildcards):
    """Return the folder of a trained small decoder, for the same jobs."""
    trained = dataset_of(wildcards).prior.small_decoder.source == "train"
    return (
        [f"results/{wildcards.dataset}/small_decoder"] if IS_STORED and trained else []
    )


def real_to_compare(wildcards):
    """Return the real images that drawn ones are compared with; some must be held out."""
    where = f"config/datasets/{wildcards.dataset}.yaml"
    checked(check_held_out, dataset_of(wildcards), where, "prior_quality.json")
    return arrays("train", "validation")


def names_of_prior(wildcards):
    """Return the prior's names of a data set's classes; None if its labels are configured."""
    dataset = dataset_of(wildcards)
    return None if dataset.prior.labels else dataset.class_ids


def phases_of(dataset, method):
    """Return the number of phases in which a method tunes a data set's prior."""
    recipe = checked(RECIPES.finetune, dataset, method)
    return phase_count(
        len(checked(RECIPES.dataset, dataset).classes), recipe.classes_per_phase
    )


def prior_source(wildcards):
    """Return the folders or hub names of the prior, and revisions."""
    prior = dataset_of(wildcards).prior
    made = f"results/{wildcards.dataset}/prior"
    return {
        "source": made if prior.source == "train" else prior.source,
        "revision": prior.revision,
        "vae": prior.vae,
        "vae_revision": prior.vae_revision,
    }
