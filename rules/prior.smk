rule train_prior:
    """Train a latent diffusion transformer from scratch, in the folder format of DiTPipeline."""
    input:
        arrays("train", "validation"),
        reference="results/{dataset}/reference/model.safetensors",
    output:
        folder=directory("results/{dataset}/prior"),
        metrics="results/{dataset}/prior.json",
    log:
        "results/logs/train_prior/{dataset}.log",
    benchmark:
        "results/benchmarks/train_prior/{dataset}.tsv"
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "train_prior",
            train=dataset_of(wildcards)["prior"]["train"],
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/train_prior.py"


rule assess_prior:
    """Measure a prior: reconstruction, recognition, Frechet distance, precision and recall."""
    input:
        arrays("train", "validation"),
        reference="results/{dataset}/reference/model.safetensors",
        prior=prior_files,
    output:
        metrics="results/{dataset}/prior_quality.json",
        grid="results/{dataset}/prior_samples.png",
    log:
        "results/logs/assess_prior/{dataset}.log",
    benchmark:
        "results/benchmarks/assess_prior/{dataset}.tsv"
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        hp=lambda wildcards: stage(
            "assess_prior",
            prior=prior_facts(dataset_of(wildcards), wildcards.dataset),
            sampler=checked(RECIPES.method, wildcards.dataset, "dit")["sampler"],
            network=network_facts(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/assess_prior.py"
