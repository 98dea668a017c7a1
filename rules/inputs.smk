"""Inputs and parameters of stages, as far as recipes decide them."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace

from lgd_core.config.checks import check_held_out
from lgd_core.config.external import list_seed
from lgd_core.base.listings import Made
from lgd_core.config.methods import (
    CORESETS,
    SEED_SOURCES,
    epochs_at,
    guidance_facts,
    images_per_increment,
    mode_clusters,
    mode_increment,
    needs_influence,
    needs_learner,
    tuned_by,
)
from lgd_core.config.prior_files import is_hub_name

SPLITS = ("train", "originals", "validation", "test")
SOURCE_RECORD = "results/{dataset}/data/listing.json"
SEED = "results/{dataset}/{method}/s{seed}/k0/increment.safetensors"
SEED_RECORD = "results/{dataset}/{method}/s{seed}/k0/seed_listing.json"
PRIOR = "results/{dataset}/prior_source.json"
REFERENCE = "results/{dataset}/reference/model.safetensors"
INFLUENCE = "results/{dataset}/influence/gradients.safetensors"
TUNED_PRIOR = "results/{dataset}/{method}/prior_source.json"
MODES = "results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors"


def source_of(wildcards):
    """Return a data set's source with the folder, which need not be there."""
    return checked(RECIPES.source_of, wildcards.dataset)


def source_facts(wildcards, *keys, of_fonts=()):
    """Return the keys of a data set's source that decide what a stage makes of its files."""
    source = source_of(wildcards)
    # Keys that only fonts have are no reason for the stages of other data sets to run again.
    more = of_fonts if source["kind"] == "fonts" else ()
    return {key: source[key] for key in (*keys, *more)}


def prepared_facts(wildcards):
    """Return what decides the arrays of a data set beside the files of its images."""
    dataset = dataset_of(wildcards)
    return stage(
        "prepare_dataset",
        source=source_facts(
            wildcards,
            "kind",
            "validation_fraction",
            "skip_broken",
            of_fonts=["characters", "exclude", "test_fraction", "min_distance"],
        ),
        image=dataset["image"],
        classes=dataset["classes"],
        wnids=dataset["wnids"],
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
        recipe=prepared_facts(wildcards),
    )
    return checked(made.identity, lambda: RECIPES.list_source(dataset))


def network_facts(dataset):
    """Return what every network needs to know of a data set."""
    facts = {
        "classes": dataset["classes"],
        "image": dataset["image"],
        "normalise": dataset["normalise"],
        "augment": dataset["augment"],
    }
    # Folders of a seed are named by wnid where there are wnids, and must not be taken in order.
    return facts | ({"wnids": dataset["wnids"]} if dataset["wnids"] else {})


PREPARED = "results/{dataset}/data/prepared.json"


def stored_image(wildcards):
    """Return what the images of a data set's increments look like on disk."""
    image = dataset_of(wildcards)["image"]
    return {key: image[key] for key in ("size", "channels")}


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


def prior_files(wildcards):
    """Return the files of the prior that lie here before the workflow fetches any."""
    checked(RECIPES.check_prior, wildcards.dataset)
    prior = dataset_of(wildcards)["prior"]
    if prior["source"] == "train":
        return [f"results/{wildcards.dataset}/prior"]
    return sorted(
        str(path)
        for folder in (prior["source"], prior["vae"])
        if folder and not is_hub_name(folder)
        for path in Path(folder).rglob("*.*")
        if path.suffix in (".json", ".safetensors", ".bin")
    )


def real_to_compare(wildcards):
    """Return the real images that a prior's are compared with; some must be held out."""
    where = f"config/datasets/{wildcards.dataset}.yaml"
    checked(check_held_out, dataset_of(wildcards), where, "prior_quality.json")
    return arrays("train", "validation")


def prior_source(wildcards):
    """Return where the prior comes from: folders or hub names, and revisions."""
    prior = dataset_of(wildcards)["prior"]
    made = f"results/{wildcards.dataset}/prior"
    return {
        "source": made if prior["source"] == "train" else prior["source"],
        "revision": prior["revision"],
        "vae": prior["vae"],
        "vae_revision": prior["vae_revision"],
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
    return (
        checked(RECIPES.increments, wildcards.dataset, method, int(wildcards.ipc)) - 1
    )


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
    if needs_learner(method):
        inputs["learner"] = learner_before(wildcards)
        inputs["reference"] = REFERENCE.format(**wildcards)
    return inputs


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


def sampling_facts(wildcards):
    """Return the keys of a method that decide what its candidates look like."""
    method = method_of(wildcards)
    keys, guidances = ["source", "through_autoencoder", "ipc_per_increment"], {}
    if method["source"] == "prior":
        keys += ["sampler", "window", "candidates"]
        guidances = guidance_facts(method)
    if method["source"] == "condensed":
        keys.append("condensation")
    return {key: method[key] for key in keys} | guidances


def mode_facts(wildcards):
    """Return what decides an increment's modes beside the latents."""
    method = method_of(wildcards)
    increment = mode_increment(method, int(wildcards.k))
    return {"clusters": mode_clusters(method), "increment": increment}


def seed_facts(wildcards):
    """Return the keys of a method that decide what its increment 0 looks like."""
    method = method_of(wildcards)
    source = method["seed"]["source"]
    facts = {
        "seed": {"source": source},
        "ipc_per_increment": method["ipc_per_increment"],
    }
    if source == "own":
        return facts | sampling_facts(wildcards)
    if source == "prior":
        return facts | {"sampler": method["sampler"]}
    if source in ("real", "folder"):
        return facts | {"through_autoencoder": method["through_autoencoder"]}
    return facts


def seed_stage(wildcards):
    """Return what decides an increment 0 beside its inputs and the images of a folder."""
    return stage(
        "seed_increment",
        method=seed_facts(wildcards),
        prior_labels=dataset_of(wildcards)["prior"]["labels"],
        network=network_facts(dataset_of(wildcards)),
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


def evaluation_facts(wildcards):
    """Return the protocol of a student at the images per class that k increments make."""
    dataset, method = dataset_of(wildcards), method_of(wildcards)
    ipc = (int(wildcards.k) + 1) * images_per_increment(method)
    recipe = {
        key: dataset["evaluation"][key]
        for key in dataset["evaluation"]
        if key != "students"
    }
    return recipe | {"epochs": epochs_at(recipe["epochs"], ipc), "runs": config["runs"]}


def redundancy_facts(wildcards):
    """Return the protocol of a network trained on one increment alone."""
    dataset = dataset_of(wildcards)
    recipe = {
        key: dataset["evaluation"][key]
        for key in dataset["evaluation"]
        if key != "students"
    }
    return recipe | dataset["redundancy"] | {"evaluations": 1}


def compared(wildcards):
    """Return the methods that a table or figure compares, with their order and increments."""
    return {
        "methods": config["methods"],
        "increments": {m: last_increment(wildcards, m) + 1 for m in config["methods"]},
        "seeds": config["seeds"],
    }
