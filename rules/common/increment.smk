"""Inputs and settings of the stages that make increments."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from lgd_core.base.listings import Made
from lgd_core.config.external import list_seed
from lgd_core.config.methods import (
    CORESETS,
    SEED_SOURCES,
    mode_increment,
    needs_influence,
    prior_owner,
)

REFERENCE = "results/{dataset}/reference/model.safetensors"
INFLUENCE = "results/{dataset}/influence/gradients.safetensors"
SEED = "results/{dataset}/{method}/s{seed}/k0/increment.safetensors"
SEED_RECORD = "results/{dataset}/{method}/s{seed}/k0/seed_listing.json"
MODES = "results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors"


def increments_before(wildcards):
    """Return increments 0 to k - 1."""
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{j}/increment.safetensors",
        j=range(int(wildcards.k)),
    )


def increments_up_to(wildcards):
    """Return increments 0 to k."""
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{j}/increment.safetensors",
        j=range(int(wildcards.k) + 1),
    )


def seed_inputs(wildcards):
    """Return what increment 0 is made from: another method's, or what its source needs."""
    source = method_of(wildcards).seed.source
    if source == "own":
        return drawing_inputs(wildcards)
    if source not in SEED_SOURCES:
        path = "results/{dataset}/{source}/s{seed}/k0/increment.safetensors"
        return {"shared": path.format(source=source, **wildcards)}
    return prior_and_real(wildcards, real=source == "real")


def prior_and_real(wildcards, real):
    """Return the method's prior, and the real training images where they are wanted."""
    inputs = {"prior": prior_of(wildcards)}
    if real:
        inputs["real"] = [path.format(**wildcards) for path in arrays("originals")]
    return inputs


def prior_of(wildcards):
    """Return where a method's prior is noted: the data set's, or one that a method has tuned."""
    owner = prior_owner(method_of(wildcards), wildcards.method)
    if owner is None:
        return PRIOR.format(**wildcards)
    return TUNED_PRIOR.format(dataset=wildcards.dataset, method=owner)


def drawing_inputs(wildcards):
    """Return what every increment of a method is made from, whatever came before it."""
    method = method_of(wildcards)
    source = method.source
    inputs = prior_and_real(wildcards, real=source != "prior")
    if source in (*CORESETS, "condensed"):
        inputs["seen"] = [path.format(**wildcards) for path in arrays("train")]
    if source in CORESETS:
        inputs["reference"] = REFERENCE.format(**wildcards)
    if needs_influence(method):
        inputs["influence"] = INFLUENCE.format(**wildcards)
    if method.source == "prior" and method.modes.strength:
        increment = mode_increment(method, int(wildcards.get("k", 0)))
        inputs["modes"] = MODES.format(**dict(wildcards.items()) | {"k": increment})
    return inputs


def candidate_inputs(wildcards):
    """Return what candidates are drawn from: the set so far, and the learner where one is used."""
    method, inputs = method_of(wildcards), drawing_inputs(wildcards)
    if method.source == "prior" and method.deviation.strength:
        inputs["memory"] = increments_before(wildcards)
    if method.needs_learner(int(wildcards.k)):
        inputs["learner"] = previous_learner(wildcards)
        inputs["reference"] = REFERENCE.format(**wildcards)
    return inputs


def shards_of(dataset, method, seed, k):
    """Return how many jobs share an increment's classes: as the run wants, or as there are already.

    Their number decides no image, so that a complete set of candidates is taken as it is.
    """
    folder = Path(f"results/{dataset}/{method}/s{seed}/k{k}/candidates")
    wanted = checked(RECIPES.shards, dataset)
    found = {int(path.stem.split("of")[1]) for path in folder.glob("0of*.safetensors")}
    for shards in (wanted, *sorted(found)):
        files = (folder / f"{shard}of{shards}.safetensors" for shard in range(shards))
        if all(file.exists() for file in files):
            return shards
    return wanted


def candidate_shards(wildcards):
    """Return the candidates of all classes of an increment."""
    shards = shards_of(**wildcards)
    return expand(
        "results/{{dataset}}/{{method}}/s{{seed}}/k{{k}}/candidates/{shard}of{shards}.safetensors",
        shard=range(shards),
        shards=shards,
    )


def previous_learner(wildcards):
    """Return the learner of increment k - 1; none at k = 0, where learning starts."""
    previous = int(wildcards.k) - 1
    path = "results/{dataset}/{method}/s{seed}/k{previous}/learner.safetensors"
    values = {
        "dataset": wildcards.dataset,
        "method": wildcards.method,
        "seed": wildcards.seed,
    }
    return path.format(previous=previous, **values) if previous >= 0 else []


def seed_stage(wildcards):
    """Return what decides an increment 0 beside its inputs and the images of a folder."""
    return stage(
        "seed_increment",
        2,
        method=seed_settings(method_of(wildcards)),
        prior_labels=dataset_of(wildcards).prior.labels,
        network=drawn_images(dataset_of(wildcards), method_of(wildcards)),
    )


def seed_folder(wildcards):
    """Return the folder of a method's increment 0, which need not be there; None without one."""
    seed = method_of(wildcards).seed
    return seed.folder if seed.source == "folder" else None


@cache
def seed_images(dataset, method, seed):
    """Return the identity of the images that an increment 0 is read from; None without a folder."""
    values = {"dataset": dataset, "method": method, "seed": seed}
    wildcards = SimpleNamespace(**values)
    folder = seed_folder(wildcards)
    if folder is None:
        return None
    made = Made(
        record=SEED_RECORD.format(**values),
        outputs=[SEED.format(**values)],
        recipe=seed_stage(wildcards),
    )
    count = method_of(wildcards).ipc_per_increment
    arguments = (
        folder,
        seen_images(dataset_of(wildcards)),
        count,
        f"method '{method}'",
    )
    return checked(made.identity, lambda: list_seed(*arguments))
