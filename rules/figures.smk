"""Figures that explain a method, each drawn from the table of numbers beside it."""

from lgd_core.config.classes import class_label
from lgd_core.config.methods import images_per_increment, is_guided


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


rule analyses:
    """Every figure that explains the methods, for each configured data set and images per class."""
    input:
        expand(
            "results/{dataset}_ipc{ipc}/{artifact}.png",
            dataset=config["datasets"],
            ipc=config["ipc"],
            artifact=[
                "complementarity",
                "dynamics",
                "difficulty",
                "in_distribution",
                "guidance",
            ],
        ),


rule complementarity:
    """Draw what a network trained on the first increment gets wrong of every later one."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json"),
    output:
        table="results/{dataset}_ipc{ipc}/complementarity.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/complementarity.png",
            caption="../report/complementarity.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "complementarity"},
        ),
    log:
        "results/logs/complementarity/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts(
            "complementarity", 2, wildcards, images=increment_images(wildcards)
        ),
    script:
        "../workflow_scripts/complementarity.py"


rule dynamics:
    """Draw the loss across increments, its spikes, and what each increment brings."""
    input:
        over_increments("results/{dataset}/{method}/s{seed}/k{k}/learner.json"),
    output:
        table="results/{dataset}_ipc{ipc}/dynamics.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/dynamics.png",
            caption="../report/dynamics.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "training dynamics"},
        ),
    log:
        "results/logs/dynamics/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts("dynamics", 1, wildcards),
    script:
        "../workflow_scripts/dynamics.py"


rule difficulty:
    """Draw how easy images are to learn, beside real ones, and how far apart the sets are."""
    input:
        samples=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/difficulty.safetensors"
        ),
        real=real_difficulties,
    output:
        table="results/{dataset}_ipc{ipc}/difficulty.csv",
        summary="results/{dataset}_ipc{ipc}/divergence.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/difficulty.png",
            caption="../report/difficulty.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "difficulty"},
        ),
    log:
        "results/logs/difficulty/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts(
            "difficulty",
            2,
            wildcards,
            zones=zone_facts(),
            classes=dataset_of(wildcards)["classes"],
            bins=config["analyses"]["bins"],
            bootstraps=config["analyses"]["bootstraps"],
        ),
    script:
        "../workflow_scripts/difficulty.py"


rule in_distribution:
    """Draw the reference's confidence in every image against how easily it is learned."""
    input:
        samples=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/difficulty.safetensors"
        ),
        real=real_difficulties,
    output:
        table="results/{dataset}_ipc{ipc}/in_distribution.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/in_distribution.png",
            caption="../report/in_distribution.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "in-distribution analysis"},
        ),
    log:
        "results/logs/in_distribution/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts(
            "in_distribution",
            1,
            wildcards,
            zones=zone_facts(),
            classes=dataset_of(wildcards)["classes"],
        ),
    script:
        "../workflow_scripts/in_distribution.py"


rule guidance:
    """Draw what guidance does along the sampling steps, beside the same noise without it."""
    input:
        over_increments(
            "results/{dataset}/{method}/s{seed}/k{k}/guidance_trace.safetensors",
            first=1,
            traced_only=True,
        ),
    output:
        table="results/{dataset}_ipc{ipc}/guidance.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/guidance.png",
            caption="../report/guidance.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "guidance along the steps"},
        ),
    log:
        "results/logs/guidance/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts(
            "guidance", 2, wildcards, positions=config["analyses"]["traced_positions"]
        ),
    script:
        "../workflow_scripts/guidance.py"


rule class_samples:
    """Draw one class's images, methods by increments, with the score S under each."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        table="results/{dataset}_ipc{ipc}/samples/{class_folder}.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/samples/{class_folder}.png",
            caption="../report/class_samples.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "images of {class_folder}"},
        ),
    log:
        "results/logs/class_samples/{dataset}_ipc{ipc}_{class_folder}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_facts(
            "class_samples",
            1,
            wildcards,
            class_name=class_of(wildcards),
            per_cell=config["plots"]["samples_per_cell"],
        ),
    script:
        "../workflow_scripts/class_samples.py"
