"""Evaluation of distilled sets: accuracy of students, and redundancy of increments."""


rule label_increments:
    """Store a teacher's labels of a distilled set."""
    input:
        teacher="results/{dataset}/reference/model.safetensors",
        increments=increments_up_to,
    output:
        labels="results/{dataset}/{method}/s{seed}/k{k}/labels/{protocol}.safetensors",
    log:
        "results/logs/label_increments/{dataset}_{method}_s{seed}_k{k}_{protocol}.log",
    benchmark:
        "results/benchmarks/label_increments/{dataset}_{method}_s{seed}_k{k}_{protocol}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: label_settings(1, wildcards, wildcards.dataset),
    script:
        "../workflow_scripts/label_increments.py"


rule evaluate:
    """Train one student from scratch on a distilled set and test it."""
    input:
        arrays("validation", "test"),
        unpack(
            lambda wildcards: taught_by(
                wildcards,
                wildcards.dataset,
                "results/{dataset}/{method}/s{seed}/k{k}".format(**wildcards),
            )
        ),
        increments=increments_up_to,
    output:
        run="results/{dataset}/{method}/s{seed}/k{k}/evaluate/{protocol}/{student}/r{run}.json",
    log:
        "results/logs/evaluate/{dataset}_{method}_s{seed}_k{k}_{protocol}_{student}_r{run}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}_{method}_s{seed}_k{k}_{protocol}_{student}_r{run}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "evaluate",
            2,
            evaluation=lesson_settings(wildcards),
            network=student_images(
                dataset_of(wildcards), protocol_of(wildcards, wildcards.dataset)
            ),
        ),
    script:
        "../workflow_scripts/evaluate.py"


rule score_set:
    """Train students on a set, or on several, at the best of several learning rates."""
    input:
        arrays("validation", "test"),
        unpack(arm_inputs),
    output:
        rounds=SCORED,
    log:
        "results/logs/score_set/{dataset}_{method}_s{seeds}_k{k}_{protocol}_{arm}_{student}.log",
    benchmark:
        "results/benchmarks/score_set/{dataset}_{method}_s{seeds}_k{k}_{protocol}_{arm}_{student}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "score_set",
            1,
            lesson=arm_lesson(wildcards),
            network=student_images(dataset_of(wildcards), arm_protocol(wildcards)),
            rates=config["scores"]["rates"],
            rounds=config["scores"]["rounds"],
        ),
    script:
        "../workflow_scripts/score_set.py"


rule train_full:
    """Train a student's architecture on all real training images, as the reference is trained."""
    input:
        arrays("train", "test"),
    output:
        metrics=FULL,
    log:
        "results/logs/train_full/{dataset}_{student}.log",
    benchmark:
        "results/benchmarks/train_full/{dataset}_{student}.tsv"
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "train_full",
            1,
            training=real_training(dataset_of(wildcards)),
            seed=dataset_of(wildcards).reference.seed,
            network=trained_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/train_full.py"


rule cross_increment:
    """Train on each increment alone and test on every other: the redundancy matrix of a method."""
    input:
        increments_up_to,
    output:
        matrix="results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json",
    log:
        "results/logs/cross_increment/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/cross_increment/{dataset}_{method}_s{seed}_k{k}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "cross_increment",
            1,
            redundancy=redundancy_settings(dataset_of(wildcards)),
            ipc_per_increment=method_of(wildcards).ipc_per_increment,
            network=trained_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/cross_increment.py"
