"""Figures that explain a method, each drawn from the table of numbers beside it."""


rule analyses:
    """Every figure that explains the methods, for each configured data set and images per class."""
    input:
        expand(
            "results/{dataset}_ipc{ipc}{name}/{artifact}.png",
            dataset=config["datasets"],
            ipc=config["ipc"],
            name=named(),
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
        table="results/{dataset}_ipc{ipc}{name}/complementarity.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/complementarity.png",
            caption="../report/complementarity.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "complementarity"},
        ),
    log:
        "results/logs/complementarity/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings(
            "complementarity", 2, wildcards, images=increment_images(wildcards)
        ),
    script:
        "../workflow_scripts/complementarity.py"


rule dynamics:
    """Draw the loss across increments, its spikes, and what each increment brings."""
    input:
        over_increments("results/{dataset}/{method}/s{seed}/k{k}/learner.json"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/dynamics.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/dynamics.png",
            caption="../report/dynamics.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "training dynamics"},
        ),
    log:
        "results/logs/dynamics/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings("dynamics", 1, wildcards),
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
        table="results/{dataset}_ipc{ipc}{name}/difficulty.csv",
        summary="results/{dataset}_ipc{ipc}{name}/divergence.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/difficulty.png",
            caption="../report/difficulty.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "difficulty"},
        ),
    log:
        "results/logs/difficulty/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings(
            "difficulty",
            2,
            wildcards,
            zones=zone_facts(),
            classes=dataset_of(wildcards).class_names,
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
        table="results/{dataset}_ipc{ipc}{name}/in_distribution.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/in_distribution.png",
            caption="../report/in_distribution.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "in-distribution analysis"},
        ),
    log:
        "results/logs/in_distribution/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings(
            "in_distribution",
            1,
            wildcards,
            zones=zone_facts(),
            classes=dataset_of(wildcards).class_names,
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
        table="results/{dataset}_ipc{ipc}{name}/guidance.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/guidance.png",
            caption="../report/guidance.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "guidance along the steps"},
        ),
    log:
        "results/logs/guidance/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings(
            "guidance", 2, wildcards, positions=config["analyses"]["traced_positions"]
        ),
    script:
        "../workflow_scripts/guidance.py"


rule class_samples:
    """Draw one class's images, methods by increments, with the score S under each."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/samples/{class_folder}.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/samples/{class_folder}.png",
            caption="../report/class_samples.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "images of {class_folder}"},
        ),
    log:
        "results/logs/class_samples/{dataset}_ipc{ipc}{name}_{class_folder}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: figure_settings(
            "class_samples",
            1,
            wildcards,
            class_name=class_of(wildcards),
            per_cell=config["plots"]["samples_per_cell"],
        ),
    script:
        "../workflow_scripts/class_samples.py"
