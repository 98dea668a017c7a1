"""The reference model, which understands the real images."""


rule watch_training:
    """Train networks on all real training images, and score how they learn each."""
    input:
        arrays("train"),
    output:
        dynamics=DYNAMICS,
    log:
        "results/logs/watch_training/{dataset}.log",
    benchmark:
        "results/benchmarks/watch_training/{dataset}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "watch_training",
            1,
            dynamics=dynamics_settings(dataset_of(wildcards)),
            network=trained_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/watch_training.py"


rule train_reference:
    """Train the reference model on all real training images, or read weights of it."""
    input:
        lambda wildcards: arrays(
            *(["test"] if reads_weights(wildcards) else ["train", "test"])
        ),
    output:
        model=REFERENCE,
        metrics="results/{dataset}/reference/metrics.json",
    log:
        "results/logs/train_reference/{dataset}.log",
    benchmark:
        "results/benchmarks/train_reference/{dataset}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=reference_stage,
        weights=lambda wildcards: reference_weights(wildcards.dataset),
        # A function with `threads` does not trigger reruns: the file may lie anywhere.
        reference=lambda wildcards, threads: canonical(dataset_of(wildcards).reference),
        record=WEIGHTS_RECORD,
        source=where_images_lie,
    script:
        "../workflow_scripts/train_reference.py"
