"""Configuration, and functions that name the inputs and settings of rules of several stages."""

import os
import re
import sys
from pathlib import Path

import lgd_core
from lgd_core.base.attempts import name_call
from lgd_core.base.errors import UserError
from lgd_core.base.folders import check_writable
from lgd_core.base.leases import has_gpu, why_no_gpu
from lgd_core.base.owners import pass_restarts_on
from lgd_core.base.watching import watch
from lgd_core.config.arms import ARMS
from lgd_core.config.catalogue import read_run
from lgd_core.config.recipes import Recipes
from lgd_core.config.stages import (
    canonical,
    choice_settings,
    class_names,
    difficulty_settings,
    dynamics_settings,
    draw_settings,
    drawn_images,
    learner_settings,
    phase_settings,
    real_training,
    recipe_fingerprint,
    redundancy_settings,
    reference_settings,
    seed_settings,
    seen_images,
    stored_images,
    student_images,
    trace_settings,
    trained_images,
)
from lgd_core.figures.styles import check_colormap

# The project's folder, seen from the working folder: "." for those who run it in its own folder.
HOME = Path(os.path.relpath(workflow.current_basedir.get_path_or_uri(False))).parent

# Jobs find the library where it was found for this file, also in an environment that lacks it, as conda's.
sys.path.append(str(Path(lgd_core.__file__).parents[1]))

# Whether another workflow has imported this one as a module.
IS_MODULE = not workflow.modifier.is_main_snakefile()

# Whether no rules stand before these; a target of their own is then that of the whole workflow.
ARE_FIRST = workflow.default_target is None

# Whether rules share results with other workflows. Rules with a benchmark cannot, and where it is not
# asked for, Snakemake would say of each rule that it could.
IS_CACHED = workflow.workflow_settings.cache is not None

# Whether results lie in object storage: a job then has no files but those of its own inputs.
IS_STORED = workflow.storage_settings.default_storage_provider is not None

# The default run; files and values on the command line are added to it. In the working folder of
# another workflow, a file of this name is its own.
RUN = "config/config.yaml"
if IS_MODULE or not os.path.exists(RUN):
    RUN = str(HOME / RUN)

# By default glibc returns the memory of large tensors to the kernel after every step and requests
# it again at the next. If it keeps the memory, a training step on the CPU takes a third less time.
# Jobs inherit this setting.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(10**11),
    "MALLOC_TOP_PAD_": str(2**28),
}
for name, value in MALLOC.items():
    os.environ.setdefault(name, value)

# Threads of the prior's jobs and of decoding; Snakemake reduces them to --cores.
ALL_CORES = 1024

# Threads of sampling and of the reference. A job with all cores starts only when no other job runs,
# so on a small machine increments would wait for every evaluation.
HALF_THE_CORES = max(1, os.cpu_count() // 2)

# Priority for free cores: increments depend on one another, but no job waits for evaluations.
INCREMENTS_FIRST = 1

# Download first, so that missing data fail early.
FETCHING_FIRST = 2

name_call()
pass_restarts_on()


def checked(function, *arguments):
    """Call a function; a UserError ends the run with its one line."""
    try:
        return function(*arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


checked(check_writable, "results")

# Records name the files of other jobs.
if workflow.modifier.modify_path("results") != "results" and IS_MODULE:
    sys.exit("error: module: found prefix or replace_prefix, expected neither")

# The files are read here once more. After Snakemake's reading it is unknown which values are from a
# file, with types, and which from the command line, where all are text. Snakemake also accepts keys
# that occur twice. A workflow that imports this one hands over values of both kinds.
RUN_FILES = [RUN] if IS_MODULE else [RUN, *workflow.overwrite_configfiles]
if workflow.config_settings.replace_workflow_config and not IS_MODULE:
    RUN_FILES.remove(RUN)
RECIPES = checked(
    Recipes,
    "config",
    checked(read_run, RUN_FILES),
    config if IS_MODULE else workflow.config_settings.config,
    None if HOME == Path(".") else HOME,
)


# Only for the report; the configuration in use is the one read above.
configfile: RUN


# Another mapping: the one before may be part of another workflow's configuration.
config = config | RECIPES.config
checked(check_colormap, config["plots"]["colormap"], "config: plots.colormap")

# GPUs per job; 0 on the CPU, so that several such jobs may run at once. `cuda` is not checked here:
# on a cluster this machine may have no GPU, while those that run the jobs have.
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
    seeds="[0-9]+(to[0-9]+)?",
    arm="|".join(ARMS),
    k="[0-9]+",
    shard="[0-9]+",
    shards="[0-9]+",
    phase="[0-9]+",
    phases="[0-9]+",
    class_folder="[A-Za-z0-9_]+",
    external="[A-Za-z0-9][A-Za-z0-9_-]*",


def dataset_of(wildcards):
    return checked(RECIPES.dataset, wildcards.dataset)


def method_of(wildcards):
    return checked(RECIPES.method, wildcards.dataset, wildcards.method)


def stage(name, version, /, **settings):
    """Return the settings of a stage as one value; its jobs run again when the value changes.

    A new version invalidates the stage's results. Editing code alone does not.
    """
    return canonical({"stage": name, "version": version} | settings)


def named():
    """Return the subfolder of a named run's tables and figures; empty without a name."""
    return os.sep + config["name"] if config["name"] else ""


def check_name(wildcards):
    """End with an error for a target of another run."""
    folder = f"results/{wildcards.dataset}_ipc{wildcards.ipc}"
    if wildcards.name != named():
        found, expected = f"{folder}{wildcards.name}", f"{folder}{named()}"
        sys.exit(
            f"error: {found}: not of this run, expected {expected}, by its key 'name'"
        )


def methods_of(wildcards):
    """Return the methods that the run compares; ends with an error for another run's target."""
    check_name(wildcards)
    return config["methods"]


def last_increment(wildcards, method):
    """Return the index of the last increment for a target's number of images per class."""
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


# The evaluations of all students of a table.
runs_of_table = over_methods(
    "results/{dataset}/{method}/s{seed}/k{k}/evaluate/{protocol}/{student}/r{run}.json",
    protocol=protocols_of,
    student=students_of,
    run=lambda wildcards: range(config["runs"]),
)


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
include: "common/reference.smk"
include: "common/evaluate.smk"
include: "common/scores.smk"
include: "common/prior.smk"
include: "common/increment.smk"
include: "common/figures.smk"
include: "common/costs.smk"
include: "common/external.smk"
include: "common/export.smk"
