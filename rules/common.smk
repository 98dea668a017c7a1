"""Configuration, and what rules of several stages need to name their inputs and settings."""

import os
import re
import sys

from lgd_core.base.errors import UserError
from lgd_core.base.folders import check_writable
from lgd_core.base.leases import has_gpu, why_no_gpu
from lgd_core.config.catalogue import read_run
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import (
    canonical,
    class_names,
    difficulty_settings,
    draw_settings,
    drawn_images,
    redundancy_settings,
    seed_settings,
    seen_images,
    stored_images,
    student_images,
    trace_settings,
    trained_images,
)
from lgd_core.figures.styles import check_colormap

# The run, before files and values that the command line names.
RUN = "config/config.yaml"

# glibc hands large tensors back to the kernel after every step and faults them in again at the next;
# kept, a training step on the CPU takes a third less time. Jobs inherit the setting.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(10**11),
    "MALLOC_TOP_PAD_": str(2**28),
}
for name, value in MALLOC.items():
    os.environ.setdefault(name, value)

# Threads of the prior's own jobs and of decoding; Snakemake scales it down to --cores.
ALL_CORES = 1024

# Threads of sampling and of the reference. A job that claims all cores starts only when nothing else
# runs, so that on a small machine increments would wait for every evaluation.
HALF_THE_CORES = max(1, os.cpu_count() // 2)

# Increments wait for one another, evaluations for nobody: who is ahead of whom for a free core.
INCREMENTS_FIRST = 1

# Download first, so that missing data fail early.
FETCHING_FIRST = 2


def checked(function, *arguments):
    """Call a function; where the user is at fault, end with its one line and nothing else."""
    try:
        return function(*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


checked(check_writable, "results")

# Read from the files themselves: Snakemake's own reading has lost which values were typed as text in
# a file, and which on the command line, where all is text; nor does it see a key that stands twice.
RUN_FILES = [RUN, *workflow.overwrite_configfiles]
if workflow.config_settings.replace_workflow_config:
    RUN_FILES.remove(RUN)
RECIPES = checked(
    Recipes, "config", checked(read_run, RUN_FILES), workflow.config_settings.config
)


# For the report. What is in force is what has been read above.
configfile: RUN


config.update(RECIPES.config)
checked(check_colormap, config["plots"]["colormap"], "config: plots.colormap")

# GPUs per job; none where tensors live on the CPU, so that such jobs may run side by side. `cuda` is
# not questioned here: on a cluster this machine may have no GPU while those that run the jobs do.
GPU = int(config["device"] == "cuda" or (config["device"] == "auto" and has_gpu()))


wildcard_constraints:
    dataset="|".join(map(re.escape, RECIPES.names("dataset"))),
    method="|".join(map(re.escape, RECIPES.names("method"))),
    family="|".join(map(re.escape, RECIPES.names("ablation"))),
    protocol="|".join(map(re.escape, RECIPES.names("protocol"))),
    student="[A-Za-z0-9-]+",
    run="[0-9]+",
    ipc="[0-9]+",
    # A folder of the run's own, if it has a name.
    name="(/(?!samples/)[A-Za-z0-9][A-Za-z0-9_-]*)?",
    seed="[0-9]+",
    k="[0-9]+",
    shard="[0-9]+",
    shards="[0-9]+",
    class_folder="[A-Za-z0-9_]+",
    external="[A-Za-z0-9][A-Za-z0-9_-]*",


def dataset_of(wildcards):
    return checked(RECIPES.dataset, wildcards.dataset)


def method_of(wildcards):
    return checked(RECIPES.method, wildcards.dataset, wildcards.method)


def stage(name, version, **settings):
    """Return what decides a stage's result beside its inputs, as one value that reruns it.

    A new version invalidates what the stage has made; editing code alone does not.
    """
    return canonical({"stage": name, "version": version} | settings)


def named():
    """Return the folder of the run's tables and figures in that of a data set; empty without."""
    return os.sep + config["name"] if config["name"] else ""


def methods_of(wildcards):
    """Return the methods that a run compares; ends where a target is not one of this run."""
    folder = f"results/{wildcards.dataset}_ipc{wildcards.ipc}"
    if wildcards.name != named():
        found, expected = f"{folder}{wildcards.name}", f"{folder}{named()}"
        sys.exit(
            f"error: {found}: not of this run, expected {expected}, by its key 'name'"
        )
    return config["methods"]


def last_increment(wildcards, method):
    """Return the index of the last increment of a target's images per class."""
    return (
        checked(RECIPES.increments, wildcards.dataset, method, int(wildcards.ipc)) - 1
    )


def over_methods(pattern, **values):
    """Return an input function: the pattern for every method, seed and value of a target."""

    def inputs(wildcards):
        return [
            path
            for method in methods_of(wildcards)
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


def protocols_of(wildcards):
    return checked(RECIPES.protocols, wildcards.dataset)


def students_of(wildcards):
    return checked(RECIPES.students, wildcards.dataset)


def compared(wildcards):
    """Return the methods that a table or figure compares, with their order and increments."""
    return {
        "methods": methods_of(wildcards),
        "increments": {
            m: last_increment(wildcards, m) + 1 for m in methods_of(wildcards)
        },
        "seeds": config["seeds"],
    }


include: "common/data.smk"
include: "common/evaluate.smk"
include: "common/prior.smk"
include: "common/increment.smk"
include: "common/figures.smk"
include: "common/costs.smk"
include: "common/external.smk"
