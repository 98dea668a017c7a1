"""Fetching real images, and preparing the arrays that all later stages read."""


rule fetch_dataset:
    """Fetch the raw files of a data set from the first source that works."""
    output:
        facts="results/{dataset}/data/source.json",
        raw=directory("results/{dataset}/data/raw"),
    log:
        "results/logs/fetch_dataset/{dataset}.log",
    cache: IS_CACHED
    priority: FETCHING_FIRST
    # On a cluster only the login node may have internet access. A pod keeps what it has fetched itself.
    localrule: not IS_STORED
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "fetch_dataset",
            2,
            source=fetching_keys(source_of(wildcards)),
        ),
        images=lambda wildcards: source_images(wildcards.dataset),
        source=where_images_lie,
        name=name_of_dataset,
    script:
        "../workflow_scripts/fetch_dataset.py"


rule prepare_dataset:
    """Split real images into training, validation and test arrays, which jobs memory-map."""
    input:
        facts="results/{dataset}/data/source.json",
        raw="results/{dataset}/data/raw",
    output:
        **array_files(*SPLITS),
        facts=PREPARED,
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    cache: IS_CACHED
    conda:
        "../environment.yml"
    threads: ALL_CORES
    params:
        settings=prepared_settings,
        images=lambda wildcards: source_images(wildcards.dataset),
        source=where_images_lie,
        name=name_of_dataset,
        record=SOURCE_RECORD,
    script:
        "../workflow_scripts/prepare_dataset.py"
