"""Measurements for the figures that explain the methods, see figures.smk."""


rule measure_difficulty:
    """Measure how fast a new network learns each image of a distilled set."""
    input:
        increments=increments_up_to,
        reference="results/{dataset}/reference/model.safetensors",
    output:
        samples="results/{dataset}/{method}/s{seed}/k{k}/difficulty.safetensors",
    log:
        "results/logs/measure_difficulty/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/measure_difficulty/{dataset}_{method}_s{seed}_k{k}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "measure_difficulty",
            1,
            difficulty=difficulty_settings(dataset_of(wildcards)),
            ipc_per_increment=method_of(wildcards).ipc_per_increment,
            network=trained_images(dataset_of(wildcards)),
        ),
    script:
        "../workflow_scripts/measure_difficulty.py"


rule measure_real_difficulty:
    """Measure how fast a new network learns real training images, as many as a set has."""
    input:
        arrays("train"),
        reference="results/{dataset}/reference/model.safetensors",
    output:
        samples="results/{dataset}/reference/s{seed}/difficulty_ipc{ipc}.safetensors",
    log:
        "results/logs/measure_real_difficulty/{dataset}_s{seed}_ipc{ipc}.log",
    benchmark:
        "results/benchmarks/measure_real_difficulty/{dataset}_s{seed}_ipc{ipc}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "measure_real_difficulty",
            1,
            difficulty=difficulty_settings(dataset_of(wildcards)),
            network=trained_images(dataset_of(wildcards)),
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/measure_real_difficulty.py"


rule measure_fidelity:
    """Compare a distilled set with as many real training images, in the reference's features."""
    input:
        arrays("train"),
        increments=increments_up_to,
        reference="results/{dataset}/reference/model.safetensors",
    output:
        metrics="results/{dataset}/{method}/s{seed}/k{k}/fidelity.json",
    log:
        "results/logs/measure_fidelity/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/measure_fidelity/{dataset}_{method}_s{seed}_k{k}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "measure_fidelity", 1, network=seen_images(dataset_of(wildcards))
        ),
        source=where_images_lie,
    script:
        "../workflow_scripts/measure_fidelity.py"


rule trace_guidance:
    """Redraw a few positions of an increment, guided and unguided, and measure every step."""
    input:
        unpack(trace_inputs),
    output:
        trace="results/{dataset}/{method}/s{seed}/k{k}/guidance_trace.safetensors",
    log:
        "results/logs/trace_guidance/{dataset}_{method}_s{seed}_k{k}.log",
    benchmark:
        "results/benchmarks/trace_guidance/{dataset}_{method}_s{seed}_k{k}.tsv"
    wildcard_constraints:
        k="[1-9][0-9]*",
    conda:
        "../environment.yml"
    threads: HALF_THE_CORES
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "trace_guidance",
            2,
            method=trace_settings(method_of(wildcards), int(wildcards.k)),
            prior_labels=dataset_of(wildcards).prior.labels,
            network=seen_images(dataset_of(wildcards)),
            positions=config["analyses"]["traced_positions"],
        ),
    script:
        "../workflow_scripts/trace_guidance.py"
