"""Increments: drawing candidates, selecting, merging, and training the learner."""


rule cluster_modes:
    """Find the modes of every class's real latents, for mode guidance."""
    input:
        arrays("originals"),
        latents="results/{dataset}/latents.npy",
        record="results/{dataset}/latents.json",
    output:
        modes="results/{dataset}/{method}/s{seed}/k{k}/modes.safetensors",
    log:
        "results/logs/cluster_modes/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/cluster_modes/{dataset}_{method}_s{seed}_k{k}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    # One thread, since the order of sums over threads varies and a rerun must give the same bytes.
    threads: 1
    params:
        settings=lambda wildcards: stage(
            "cluster_modes",
            1,
            modes=mode_settings(method_of(wildcards), int(wildcards.k)),
            classes=len(dataset_of(wildcards).classes),
        ),
    script:
        "../workflow_scripts/cluster_modes.py"


rule seed_increment:
    """Make increment 0: like later ones, or from prior, real images, a folder, another method."""
    input:
        unpack(seed_inputs),
    output:
        increment=SEED,
    log:
        "results/logs/seed_increment/{dataset}_{method}_s{seed}.log",
    benchmark:
        "results/benchmarks/seed_increment/{dataset}_{method}_s{seed}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=seed_stage,
        images=lambda wildcards: seed_images(
            wildcards.dataset, wildcards.method, wildcards.seed
        ),
        # A function with `threads` does not trigger reruns: a folder may be moved.
        folder=lambda wildcards, threads: seed_folder(wildcards),
        record=SEED_RECORD,
        source=where_images_lie,
    script:
        "../workflow_scripts/seed_increment.py"


rule sample_candidates:
    """Draw all candidates of increment k >= 1 for one shard of the classes."""
    input:
        unpack(candidate_inputs),
    output:
        candidates="results/{dataset}/{method}/s{seed}/k{k}/candidates/{shard}of{shards}.safetensors",
    log:
        "results/logs/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.log",
    benchmark:
        "results/benchmarks/sample_candidates/{dataset}_{method}_s{seed}_k{k}_{shard}of{shards}.tsv"
    wildcard_constraints:
        k="[1-9][0-9]*",
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "sample_candidates",
            1,
            method=draw_settings(method_of(wildcards), int(wildcards.k)),
            prior_labels=dataset_of(wildcards).prior.labels,
            network=drawn_images(dataset_of(wildcards), method_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/sample_candidates.py"


rule select_increment:
    """Keep the candidates with the highest scores, or those of another choice, over all shards."""
    input:
        candidate_shards,
    output:
        increment="results/{dataset}/{method}/s{seed}/k{k}/increment.safetensors",
    log:
        "results/logs/select_increment/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/select_increment/{dataset}_{method}_s{seed}_k{k}.tsv"
    wildcard_constraints:
        k="[1-9][0-9]*",
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "select_increment",
            1,
            **dict(stored_images(dataset_of(wildcards))),
            **choice_of(wildcards),
        ),
    script:
        "../workflow_scripts/select_increment.py"


rule merge_increment:
    """Write increments 0 to k as class folders of PNG with a manifest."""
    input:
        increments_up_to,
    output:
        folder=directory("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    log:
        "results/logs/merge_increment/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/merge_increment/{dataset}_{method}_s{seed}_k{k}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "merge_increment",
            1,
            names=dataset_of(wildcards).class_names,
            **dict(stored_images(dataset_of(wildcards))),
            ipc_per_increment=method_of(wildcards).ipc_per_increment,
        ),
    script:
        "../workflow_scripts/merge_increment.py"


rule train_learner:
    """Train the learner on the set so far: from scratch at k = 0, continued afterwards."""
    input:
        arrays("validation", "test"),
        unpack(learner_teacher),
        increments=increments_up_to,
        previous=previous_learner,
    output:
        learner="results/{dataset}/{method}/s{seed}/k{k}/learner.safetensors",
        curve="results/{dataset}/{method}/s{seed}/k{k}/learner.json",
    log:
        "results/logs/train_learner/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/train_learner/{dataset}_{method}_s{seed}_k{k}.tsv"
    priority: INCREMENTS_FIRST
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=learner_stage,
    script:
        "../workflow_scripts/train_learner.py"
