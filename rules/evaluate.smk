rule evaluate:
    """Train students of one architecture from scratch on a distilled set and test them."""
    input:
        arrays("validation", "test"),
        distilled="results/{dataset}/{method}/s{seed}/k{k}/distilled",
    output:
        runs="results/{dataset}/{method}/s{seed}/k{k}/evaluate/{student}.json",
    log:
        "results/logs/evaluate/{dataset}_{method}_s{seed}_k{k}_{student}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}_{method}_s{seed}_k{k}_{student}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "evaluate",
            evaluation=evaluation_facts(wildcards),
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/evaluate.py"


rule cross_increment:
    """Train on each increment alone and test on every other: the redundancy matrix of a method."""
    input:
        increments_until,
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
        hp=lambda wildcards: stage(
            "cross_increment",
            redundancy=redundancy_facts(wildcards),
            ipc_per_increment=method_of(wildcards)["ipc_per_increment"],
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/cross_increment.py"
