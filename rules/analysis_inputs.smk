"""Inputs and parameters of measurements and of the figures drawn from them."""

from lgd_core.config.classes import class_label
from lgd_core.config.methods import is_guided


def difficulty_facts(dataset):
    """Return the protocol of the network whose belief in its training images is watched."""
    keys = ("batch", "lr", "weight_decay")
    return (
        {"architecture": dataset["redundancy"]["architecture"]}
        | {key: dataset["evaluation"][key] for key in keys}
        | dataset["difficulty"]
    )


def trace_inputs(wildcards):
    """Return what candidates are drawn from, and what a trace measures them by in any case."""
    return candidate_inputs(wildcards) | {
        "memory": increments_before(wildcards),
        "learner": learner_before(wildcards),
        "reference": f"results/{wildcards.dataset}/reference/model.safetensors",
    }


def trace_facts(wildcards):
    """Return the keys of a method that decide its trace: those of sampling, one candidate."""
    return sampling_facts(wildcards) | {"candidates": 1}


def is_traced(wildcards, method):
    """Whether a method draws from the prior with guidance, so that there is something to trace."""
    recipe = checked(RECIPES.method, wildcards.dataset, method)
    return recipe["source"] == "prior" and is_guided(recipe)


def over_increments(pattern, first=0, traced_only=False):
    """Return an input function: the pattern for every method, seed and increment of a target."""

    def inputs(wildcards):
        return [
            path
            for method in config["methods"]
            if not traced_only or is_traced(wildcards, method)
            for path in expand(
                pattern,
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(first, last_increment(wildcards, method) + 1),
            )
        ]

    return inputs


def real_difficulties(wildcards):
    """Return the real set's measurements, of as many images per class, for every seed."""
    return expand(
        "results/{{dataset}}/reference/s{seed}/difficulty_ipc{{ipc}}.safetensors",
        seed=config["seeds"],
    )


def increment_images(wildcards):
    """Return the images that networks see of one increment of every method: all classes together."""
    classes = len(dataset_of(wildcards)["classes"])
    return {
        method: classes
        * images_per_increment(checked(RECIPES.method, wildcards.dataset, method))
        for method in config["methods"]
    }


def figure_facts(rule_name, wildcards, **keys):
    """Return what every figure's script reads: the comparison, the resolution, and its own keys."""
    return stage(
        rule_name,
        compared=compared(wildcards),
        dpi=config["plots"]["dpi"],
        **keys,
    )


def class_of(wildcards):
    """Return the class whose images lie in a folder of a distilled set."""
    names = dataset_of(wildcards)["classes"]
    return names[checked(class_label, wildcards.class_folder, names)]


def zone_facts():
    """Return where the zones of difficulty part."""
    keys = ("easy_mean", "informative_variance")
    return {key: config["analyses"][key] for key in keys}


def gallery_inputs(wildcards):
    """Return all increments of a target, and the learners that came before them."""
    inputs = {"increments": [], "learners": []}
    for method in config["methods"]:
        last = last_increment(wildcards, method)
        for artifact, count in (("increment", last + 1), ("learner", last)):
            inputs[f"{artifact}s"] += expand(
                "results/{dataset}/{method}/s{seed}/k{k}/{artifact}.safetensors",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(count),
                artifact=artifact,
            )
    return inputs
