"""Priors: training or fetching, tuning, assessing, and encoding real images."""


rule train_prior:
    """Train a latent diffusion transformer from scratch and write it as a DiTPipeline folder."""
    input:
        arrays("originals"),
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
        settings=lambda wildcards: stage(
            "train_prior",
            1,
            train=dataset_of(wildcards).prior.train,
            names=dataset_of(wildcards).class_ids,
            network=seen_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/train_prior.py"


rule fetch_prior:
    """Find or download the prior's files, and record their digest."""
    input:
        prior_files,
    output:
        facts="results/{dataset}/prior_source.json",
    log:
        "results/logs/fetch_prior/{dataset}.log",
    benchmark:
        "results/benchmarks/fetch_prior/{dataset}.tsv"
    priority: FETCHING_FIRST
    # On a cluster only the login node may have internet access. A pod keeps what it has fetched itself.
    localrule: not IS_STORED
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "fetch_prior",
            2,
            prior=prior_source(wildcards),
            frequency_shift=dataset_of(wildcards).prior.frequency_shift,
            labels=dataset_of(wildcards).prior.labels,
            names=names_of_prior(wildcards),
            **dict(stored_images(dataset_of(wildcards))),
        ),
    script:
        "../workflow_scripts/fetch_prior.py"


rule train_small_decoder:
    """Train a small decoder of the prior's latents, for the gradients of guidance."""
    input:
        arrays("originals"),
        prior=PRIOR,
        stored=stored_prior,
    output:
        folder=directory("results/{dataset}/small_decoder"),
        metrics="results/{dataset}/small_decoder_training.json",
    log:
        "results/logs/train_small_decoder/{dataset}.log",
    benchmark:
        "results/benchmarks/train_small_decoder/{dataset}.tsv"
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "train_small_decoder",
            1,
            train=dataset_of(wildcards).prior.small_decoder.train,
        ),
    script:
        "../workflow_scripts/train_small_decoder.py"


rule fetch_small_decoder:
    """Find or download the small decoder's files, and record their digest."""
    input:
        small_decoder_files,
        prior=PRIOR,
        stored=stored_prior,
    output:
        facts=SMALL_DECODER,
    log:
        "results/logs/fetch_small_decoder/{dataset}.log",
    benchmark:
        "results/benchmarks/fetch_small_decoder/{dataset}.tsv"
    priority: FETCHING_FIRST
    # On a cluster only the login node may have internet access. A pod keeps what it has fetched itself.
    localrule: not IS_STORED
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "fetch_small_decoder", 1, **small_decoder_source(wildcards)
        ),
    script:
        "../workflow_scripts/fetch_small_decoder.py"


rule assess_prior:
    """Measure a prior: reconstruction, recognition, Frechet distance, precision and recall."""
    input:
        real_to_compare,
        reference="results/{dataset}/reference/model.safetensors",
        prior=PRIOR,
        stored=stored_prior,
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
        settings=lambda wildcards: stage(
            "assess_prior",
            1,
            prior_labels=dataset_of(wildcards).prior.labels,
            sampler=checked(RECIPES.method, wildcards.dataset, "dit").sampler,
            names=dataset_of(wildcards).class_names,
            network=seen_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/assess_prior.py"


rule encode_dataset:
    """Encode the real training images into the prior's latent space, once for all methods."""
    input:
        arrays("originals"),
        prior=PRIOR,
        stored=stored_prior,
    output:
        latents="results/{dataset}/latents.npy",
        record="results/{dataset}/latents.json",
    log:
        "results/logs/encode_dataset/{dataset}.log",
    benchmark:
        "results/benchmarks/encode_dataset/{dataset}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        settings=stage("encode_dataset", 2),
        source=where_images_lie,
    script:
        "../workflow_scripts/encode_dataset.py"


rule finetune_prior:
    """Tune the data set's prior for representative and diverse samples of one phase's classes."""
    input:
        arrays("originals"),
        prior=PRIOR,
        stored=stored_prior,
    output:
        phase=PHASE,
    log:
        "results/logs/finetune_prior/{dataset}_{method}_{phase}of{phases}.log",
    benchmark:
        "results/benchmarks/finetune_prior/{dataset}_{method}_{phase}of{phases}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: ALL_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "finetune_prior",
            2,
            **checked(
                phase_settings,
                dataset_of(wildcards),
                checked(RECIPES.finetune, wildcards.dataset, wildcards.method),
                int(wildcards.phase),
                int(wildcards.phases),
            ),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/finetune_prior.py"
