"""The reference model, which understands the real images."""


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
