"""The reference model, trained on the real images."""


rule train_reference:
    """Train the reference model on all real training images, without CutMix."""
    input:
        arrays("train", "test"),
    output:
        model="results/{dataset}/reference/model.safetensors",
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
        settings=lambda wildcards: stage(
            "train_reference",
            1,
            reference=dataset_of(wildcards).reference,
            network=trained_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/train_reference.py"
