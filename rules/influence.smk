"""The surrogate of influence guidance and its class gradients."""


rule train_surrogate:
    """Train the surrogate of influence guidance on real images; keep checkpoints that differ."""
    input:
        arrays("train"),
    output:
        checkpoints="results/{dataset}/influence/checkpoints.safetensors",
        curve="results/{dataset}/influence/checkpoints.json",
    log:
        "results/logs/train_surrogate/{dataset}.log",
    benchmark:
        "results/benchmarks/train_surrogate/{dataset}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "train_surrogate",
            1,
            influence=dataset_of(wildcards).influence,
            network=trained_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/train_surrogate.py"


rule influence_gradients:
    """Compute the mean loss gradient of every class at every checkpoint of the surrogate."""
    input:
        arrays("train"),
        checkpoints="results/{dataset}/influence/checkpoints.safetensors",
    output:
        influence="results/{dataset}/influence/gradients.safetensors",
    log:
        "results/logs/influence_gradients/{dataset}.log",
    benchmark:
        "results/benchmarks/influence_gradients/{dataset}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "influence_gradients",
            1,
            influence=dataset_of(wildcards).influence,
            network=seen_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/influence_gradients.py"
