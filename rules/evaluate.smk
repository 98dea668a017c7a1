"""Evaluation of distilled sets: accuracy of students, and redundancy of increments."""


rule evaluate:
    """Train one student from scratch on a distilled set and test it."""
    input:
        arrays("validation", "test"),
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
            1,
            evaluation=evaluation_settings(
                dataset_of(wildcards), method_of(wildcards), int(wildcards.k) + 1
            ),
            network=trained_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/evaluate.py"


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
