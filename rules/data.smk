"""Real images: fetched, and prepared as arrays that all later stages read."""


rule fetch_dataset:
    """Bring the raw files of a data set from the first source that works."""
    output:
        facts="results/{dataset}/data/source.json",
        raw=directory("results/{dataset}/data/raw"),
    log:
        "results/logs/fetch_dataset/{dataset}.log",
    priority: FETCHING_FIRST
    # On a cluster only the login node may have a way to the internet.
    localrule: True
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "fetch_dataset",
            2,
            source=fetching_keys(source_of(wildcards)),
        ),
        images=lambda wildcards: source_images(wildcards.dataset),
        # What asks for threads is no reason to run again: a folder may lie anywhere.
        source=lambda wildcards, threads: canonical(source_of(wildcards)),
    script:
        "../workflow_scripts/fetch_dataset.py"


rule prepare_dataset:
    """Split real images into training, validation and test arrays that are memory-mapped later."""
    input:
        facts="results/{dataset}/data/source.json",
        raw="results/{dataset}/data/raw",
    output:
        array_files(*SPLITS),
        facts=PREPARED,
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    conda:
        "../environment.yml"
    threads: ALL_CORES
    params:
        settings=prepared_settings,
        images=lambda wildcards: source_images(wildcards.dataset),
        # What asks for threads is no reason to run again: a folder may lie anywhere.
        source=lambda wildcards, threads: canonical(source_of(wildcards)),
        record=SOURCE_RECORD,
    script:
        "../workflow_scripts/prepare_dataset.py"
