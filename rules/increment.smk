"""Increments: what they are made from, how they are drawn, chosen, merged and learned."""

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
    needs_learner,
    tuned_by,
)

SEED = "results/{dataset}/{method}/s{seed}/k0/increment.safetensors"
SEED_RECORD = "results/{dataset}/{method}/s{seed}/k0/seed_listing.json"
MODES = "results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors"


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


def seed_inputs(wildcards):
    """Return what increment 0 is made from: another method's, or what its source needs."""
    source = method_of(wildcards)["seed"]["source"]
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
    owner = tuned_by(method_of(wildcards), wildcards.method)
    if owner is None:
        return PRIOR.format(**wildcards)
    return TUNED_PRIOR.format(dataset=wildcards.dataset, method=owner)


def drawing_inputs(wildcards):
    """Return what every increment of a method is made from, whatever came before it."""
    method = method_of(wildcards)
    source = method["source"]
    inputs = prior_and_real(wildcards, real=source != "prior")
    if source in (*CORESETS, "condensed"):
        inputs["seen"] = [path.format(**wildcards) for path in arrays("train")]
    if source in CORESETS:
        inputs["reference"] = REFERENCE.format(**wildcards)
    if needs_influence(method):
        inputs["influence"] = INFLUENCE.format(**wildcards)
    if method["source"] == "prior" and method["modes"]["strength"]:
        increment = mode_increment(method, int(wildcards.get("k", 0)))
        inputs["modes"] = MODES.format(**dict(wildcards.items()) | {"k": increment})
    return inputs


def candidate_inputs(wildcards):
    """Return what candidates are drawn from: the set so far, and the learner where one is used."""
    method, inputs = method_of(wildcards), drawing_inputs(wildcards)
    if method["source"] == "prior" and method["deviation"]["strength"]:
        inputs["memory"] = increments_before(wildcards)
    if needs_learner(method, int(wildcards.k)):
        inputs["learner"] = learner_before(wildcards)
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


def learner_before(wildcards):
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
        prior_labels=dataset_of(wildcards)["prior"]["labels"],
        network=drawn_images(dataset_of(wildcards), method_of(wildcards)),
    )


def seed_folder(wildcards):
    """Return the folder of a method's increment 0, which need not be there; None without one."""
    seed = method_of(wildcards)["seed"]
    return seed["folder"] if seed["source"] == "folder" else None


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
    count = method_of(wildcards)["ipc_per_increment"]
    arguments = (folder, dataset_of(wildcards), count, f"method '{method}'")
    return checked(made.identity, lambda: list_seed(*arguments))


rule cluster_modes:
    """Find the modes of every class's real latents that an increment's images are pulled to."""
    input:
        arrays("originals"),
        latents="results/{dataset}/latents.safetensors",
    output:
        modes="results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors",
    log:
        "results/logs/cluster_modes/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/cluster_modes/{dataset}_{method}_s{seed}_k{k}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    # More would add the threads' sums in any order: a rerun must give the same bytes.
    threads: 1
    params:
        settings=lambda wildcards: stage(
            "cluster_modes",
            1,
            modes=mode_settings(method_of(wildcards), int(wildcards.k)),
            classes=len(dataset_of(wildcards)["classes"]),
        ),
    script:
        "../workflow_scripts/cluster_modes.py"


rule seed_increment:
    """Make increment 0: as the later ones, or of the prior, real images, a folder, another method."""
    input:
        unpack(seed_inputs),
    output:
        increment=SEED,
    log:
        "results/logs/seed_increment/{dataset}_{method}_s{seed}.log",
    benchmark:
        "results/benchmarks/seed_increment/{dataset}_{method}_s{seed}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=seed_stage,
        images=lambda wildcards: seed_images(
            wildcards.dataset, wildcards.method, wildcards.seed
        ),
        # What asks for threads is no reason to run again: a folder may lie anywhere.
        folder=lambda wildcards, threads: seed_folder(wildcards),
        record=SEED_RECORD,
    script:
        "../workflow_scripts/seed_increment.py"


rule sample_candidates:
    """Draw all candidates of increment k >= 1 for one shard of the classes."""
    input:
        unpack(candidate_inputs),
    output:
        candidates="results/{dataset}/{method}/s{seed}/k{k}/candidates/{shard}of{shards}.safetensors",
    log:
        "results/logs/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.log",
    benchmark:
        "results/benchmarks/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.tsv"
    wildcard_constraints:
        k="[1-9][0-9]*",
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "sample_candidates",
            1,
            method=sampling_settings(method_of(wildcards), int(wildcards.k)),
            prior_labels=dataset_of(wildcards)["prior"]["labels"],
            network=drawn_images(dataset_of(wildcards), method_of(wildcards)),
        ),
    script:
        "../workflow_scripts/sample_candidates.py"


rule select_increment:
    """Keep the candidate of highest learnability at every position, over all shards."""
    input:
        candidate_shards,
    output:
        increment="results/{dataset}/{method}/s{seed}/k{k}/increment.safetensors",
    log:
        "results/logs/select_increment/{dataset}_{method}_s{seed}_k{k}.log",
    wildcard_constraints:
        k="[1-9][0-9]*",
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "select_increment",
            1,
            **stored_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/select_increment.py"


rule merge_increment:
    """Write increments 0 to k as class folders of PNG with a manifest."""
    input:
        increments_until,
    output:
        folder=directory("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    log:
        "results/logs/merge_increment/{dataset}_{method}_s{seed}_k{k}.log",
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "merge_increment",
            1,
            **stored_images(dataset_of(wildcards)),
            ipc_per_increment=method_of(wildcards)["ipc_per_increment"],
        ),
    script:
        "../workflow_scripts/merge_increment.py"


rule train_learner:
    """Train the learner on the set so far: from scratch at k = 0, continued afterwards."""
    input:
        arrays("validation", "test"),
        distilled="results/{dataset}/{method}/s{seed}/k{k}/distilled",
        previous=learner_before,
    output:
        learner="results/{dataset}/{method}/s{seed}/k{k}/learner.safetensors",
        curve="results/{dataset}/{method}/s{seed}/k{k}/learner.json",
    log:
        "results/logs/train_learner/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/train_learner/{dataset}_{method}_s{seed}_k{k}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "train_learner",
            1,
            learner=method_of(wildcards)["learner"],
            network=trained_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/train_learner.py"
