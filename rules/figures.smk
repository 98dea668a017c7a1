"""Figures, and the tables that they are drawn from.

A figure has a rule here, a module of the same name in lgd_core/figures and a caption in report/.
"""


rule analyses:
    """All figures that explain the methods, for every data set and number of images per class."""
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


rule figure:
    """The common part of all figures, not a target. To draw a figure, ask for its file."""
    log:
        "results/logs/figure/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    script:
        "../workflow_scripts/figure.py"


# ---- Figures of every run ----
use rule figure as redundancy_heatmap with:
    """Draw the cross-increment accuracies of all methods side by side."""
    input:
        matrices=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json"
        ),
    output:
        table="results/{dataset}_ipc{ipc}{name}/redundancy.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/redundancy.png",
            "redundancy heatmaps",
            caption="redundancy",
        ),
    log:
        "results/logs/redundancy_heatmap/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "redundancy_heatmap", 3, wildcards, colormap=config["plots"]["colormap"]
        ),


use rule figure as curve with:
    """Draw the learner's accuracy after every increment and its training loss across them."""
    input:
        learners=over_increments("results/{dataset}/{method}/s{seed}/k{k}/learner.json"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/curve.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/curve.png",
            "learner curves",
            caption="curve",
        ),
    log:
        "results/logs/curve/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings("curve", 1, wildcards),


use rule figure as samples with:
    """Draw the images of every method in a grid of classes and increments."""
    input:
        sets=over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/samples.png",
            "image grids",
            caption="samples",
        ),
    log:
        "results/logs/samples/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "samples",
            2,
            wildcards,
            classes=names_of(wildcards),
            per_cell=config["plots"]["samples_per_cell"],
            **shown_classes(wildcards),
        ),


# ---- Figures that explain the methods ----
use rule figure as complementarity with:
    """Draw the errors of a network trained on the first increment, on every later one."""
    input:
        matrices=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json"
        ),
    output:
        table="results/{dataset}_ipc{ipc}{name}/complementarity.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/complementarity.png",
            "complementarity",
            caption="complementarity",
        ),
    log:
        "results/logs/complementarity/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "complementarity", 2, wildcards, images=increment_images(wildcards)
        ),


use rule figure as dynamics with:
    """Draw the loss across increments, its spikes, and the gain of each increment."""
    input:
        learners=over_increments("results/{dataset}/{method}/s{seed}/k{k}/learner.json"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/dynamics.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/dynamics.png",
            "training dynamics",
            caption="dynamics",
        ),
    log:
        "results/logs/dynamics/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings("dynamics", 1, wildcards),


use rule figure as difficulty with:
    """Draw the difficulty of distilled and real images, and the divergences from the real set."""
    input:
        samples=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/difficulty.safetensors"
        ),
        real=real_difficulties,
    output:
        table="results/{dataset}_ipc{ipc}{name}/difficulty.csv",
        summary="results/{dataset}_ipc{ipc}{name}/divergence.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/difficulty.png",
            "difficulty",
            caption="difficulty",
        ),
    log:
        "results/logs/difficulty/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "difficulty",
            2,
            wildcards,
            zones=zone_facts(),
            classes=names_of(wildcards),
            bins=config["analyses"]["bins"],
            bootstraps=config["analyses"]["bootstraps"],
        ),


use rule figure as in_distribution with:
    """Draw the reference's confidence in every image against mu, how easily it is learned."""
    input:
        samples=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/difficulty.safetensors"
        ),
        real=real_difficulties,
    output:
        table="results/{dataset}_ipc{ipc}{name}/in_distribution.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/in_distribution.png",
            "in-distribution analysis",
            caption="in_distribution",
        ),
    log:
        "results/logs/in_distribution/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "in_distribution",
            1,
            wildcards,
            zones=zone_facts(),
            classes=names_of(wildcards),
        ),


use rule figure as guidance with:
    """Draw the effect of guidance along the sampling steps, and the same noise without it."""
    input:
        traces=over_increments(
            "results/{dataset}/{method}/s{seed}/k{k}/guidance_trace.safetensors",
            first=1,
            traced_only=True,
        ),
    output:
        table="results/{dataset}_ipc{ipc}{name}/guidance.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/guidance.png",
            "guidance along the steps",
            caption="guidance",
        ),
    log:
        "results/logs/guidance/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "guidance", 2, wildcards, positions=config["analyses"]["traced_positions"]
        ),


use rule figure as class_samples with:
    """Draw one class's images, methods by increments, with the score S under each."""
    input:
        sets=over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/samples/{class_folder}.csv",
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/samples/{class_folder}.png",
            "images of {class_folder}",
            caption="class_samples",
        ),
    log:
        "results/logs/class_samples/{dataset}_ipc{ipc}{name}_{class_folder}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "class_samples",
            1,
            wildcards,
            class_name=class_of(wildcards),
            per_cell=config["plots"]["samples_per_cell"],
        ),


# ---- Scores, costs, ablations, sets from elsewhere ----
use rule figure as scores with:
    """Draw the scores of the methods: how good sets are apart from labels and augmentation."""
    input:
        arms=arms_of_sets,
        random=arms_of_random,
        real=full_accuracy,
        fidelity=over_methods("results/{dataset}/{method}/s{seed}/k{k}/fidelity.json"),
        sets=over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        table=reported(
            "results/{dataset}_ipc{ipc}{name}/scores.csv",
            "scores, numbers",
            caption="scores",
        ),
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/scores.png", "scores", caption="scores"
        ),
    log:
        "results/logs/scores/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: figure_settings(
            "scores", 1, wildcards, facts=score_facts(wildcards)
        ),


use rule figure as cost with:
    """Draw the costs of the methods: seconds by stage, passes through networks per image."""
    input:
        unpack(cost_inputs),
    output:
        table=reported(
            "results/{dataset}_ipc{ipc}{name}/cost.csv", "cost table", caption="cost"
        ),
        figure=reported(
            "results/{dataset}_ipc{ipc}{name}/cost.png", "cost", caption="cost"
        ),
    log:
        "results/logs/cost/{dataset}_ipc{ipc}{name}.log",
    params:
        settings=lambda wildcards: stage(
            "cost", 3, stages=cost_stages(wildcards), dpi=config["plots"]["dpi"]
        ),


use rule figure as ablation with:
    """Draw the accuracies of a family of methods, and the paper's if it has them."""
    input:
        unpack(family_inputs),
    output:
        table="results/{dataset}/ablation/{family}.csv",
        figure=reported(
            "results/{dataset}/ablation/{family}.png",
            "{family}",
            caption="ablation",
            subcategory="Ablations",
        ),
    log:
        "results/logs/ablation/{dataset}_{family}.log",
    params:
        settings=lambda wildcards: stage(
            "ablation",
            3,
            family=family_of(wildcards),
            sizes=family_sizes(wildcards),
            seeds=config["seeds"],
            dpi=config["plots"]["dpi"],
        ),


use rule figure as diagnose_external with:
    """Draw all measurements of a folder of images from elsewhere."""
    input:
        runs=lambda wildcards: expand(
            "results/external/{{external}}/evaluate/{protocol}/{student}/r{run}.json",
            protocol=checked(RECIPES.protocols, external_of(wildcards).dataset),
            student=checked(RECIPES.students, external_of(wildcards).dataset),
            run=range(config["runs"]),
        ),
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
        table="results/external/{external}/set.csv",
        matrix="results/external/{external}/cross_increment.json",
        difficulty="results/external/{external}/difficulty.csv",
        measured="results/external/{external}/difficulty.json",
        neighbours="results/external/{external}/neighbours.csv",
        duplicates="results/external/{external}/duplicates.csv",
        facts="results/external/{external}/neighbours.json",
    output:
        table=reported(
            "results/external/{external}/diagnosis.csv",
            "diagnosis, numbers",
            caption="diagnosis",
            category="External sets",
            subcategory="{external}",
        ),
        figure=reported(
            "results/external/{external}/diagnosis.png",
            "diagnosis",
            caption="diagnosis",
            category="External sets",
            subcategory="{external}",
        ),
    log:
        "results/logs/diagnose_external/{external}.log",
    params:
        settings=lambda wildcards: stage(
            "diagnose_external",
            1,
            dataset=external_of(wildcards).dataset,
            runs=config["runs"],
            zones=zone_facts(),
            dpi=config["plots"]["dpi"],
            colormap=config["plots"]["colormap"],
        ),
