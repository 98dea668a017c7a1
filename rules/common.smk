"""Names, versions of stages, and the inputs and parameters that several rules share."""

import shutil
import sys
from pathlib import Path

from lgd_core.errors import UserError
from lgd_core.recipes import Recipes, epochs_at, needs_learner

# Bumping a number invalidates what the stage has made; editing code alone does not.
VERSIONS = {
    "fetch_dataset": 1,
    "prepare_dataset": 1,
    "train_reference": 1,
    "train_prior": 1,
    "assess_prior": 1,
    "seed_increment": 1,
    "sample_candidates": 1,
    "select_increment": 1,
    "merge_increment": 1,
    "train_learner": 1,
    "evaluate": 1,
    "cross_increment": 1,
    "table": 1,
    "redundancy_heatmap": 1,
    "curve": 1,
    "samples": 1,
}

# Claimed by jobs that use every core there is; Snakemake scales it down to --cores.
ALL_CORES = 1024


def checked(function, *arguments):
    """Call a function; where the user is at fault, end with its one line and nothing else."""
    try:
        return function(*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


RECIPES = checked(Recipes, "config", config)
config.update(RECIPES.config)

# GPUs per job; none where tensors live on the CPU, so that such jobs may run side by side.
GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and bool(shutil.which("nvidia-smi"))))


wildcard_constraints:
    dataset="|".join(RECIPES.names("dataset")),
    method="|".join(RECIPES.names("method")),
    student="[A-Za-z0-9-]+",
    ipc="[0-9]+",
    seed="[0-9]+",
    k="[0-9]+",
    shard="[0-9]+",
    shards="[0-9]+",


def dataset_of(wildcards):
    return checked(RECIPES.dataset, wildcards.dataset)


def method_of(wildcards):
    return checked(RECIPES.method, wildcards.dataset, wildcards.method)


def stage(rule_name, **keys):
    """Return what a stage depends on beside its inputs, as one value: see README, Reruns."""
    return {"stage": rule_name, "version": VERSIONS[rule_name]} | keys


def network_facts(dataset):
    """Return what every network needs to know of a data set."""
    return {
        "classes": len(dataset["classes"]),
        "image": dataset["image"],
        "normalise": dataset["normalise"],
        "augment": dataset["augment"],
    }


def arrays(*splits):
    """Return an input function for the prepared arrays of some splits."""
    return [f"results/{{dataset}}/data/{split}_{part}.npy" for split in splits for part in ("images", "labels")]


def prior_files(wildcards):
    """Return the files of the prior; none for a hub name, whose revision is a parameter."""
    checked(RECIPES.check_prior, wildcards.dataset)
    source = dataset_of(wildcards)["prior"]["source"]
    if source == "train":
        return [f"results/{wildcards.dataset}/prior"]
    return sorted(str(path) for path in Path(source).rglob("*.*") if path.suffix in (".json", ".safetensors"))


def prior_facts(dataset, name):
    """Return how to load the prior."""
    source = dataset["prior"]["source"]
    return {
        "source": f"results/{name}/prior" if source == "train" else source,
        "revision": dataset["prior"]["revision"],
        "labels": dataset["prior"]["labels"],
    }


def increments_before(wildcards):
    """Return increments 0 to k - 1."""
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{j}/increment.safetensors",
        j=range(int(wildcards.k)),
    )


def increments_until(wildcards):
    """Return increments 0 to k."""
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{j}/increment.safetensors",
        j=range(int(wildcards.k) + 1),
    )


def last_increment(wildcards, method):
    """Return the index of the last increment of a target's images per class."""
    return checked(RECIPES.increments, wildcards.dataset, method, int(wildcards.ipc)) - 1


def over_methods(pattern, **values):
    """Return an input function: the pattern for every method, seed and value of a target."""

    def inputs(wildcards):
        return [
            path
            for method in config["methods"]
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=last_increment(wildcards, method),
                **{name: value(wildcards) for name, value in values.items()},
            )
        ]

    return inputs


def students_of(wildcards):
    return checked(RECIPES.students, wildcards.dataset)
