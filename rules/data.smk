rule fetch_dataset:
    """Bring the raw files of a data set from the first source that works."""
    output:
        facts="results/{dataset}/data/source.json",
        raw=directory("results/{dataset}/data/raw"),
    log:
        "results/logs/fetch_dataset/{dataset}.log",
    priority: FETCHING_FIRST
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "fetch_dataset",
            source=source_facts(wildcards, "kind", "archive", of_fonts=["packages"]),
        ),
        images=lambda wildcards: source_images(wildcards.dataset),
        # What asks for threads is no reason to run again: a folder may lie anywhere.
        source=lambda wildcards, threads: source_of(wildcards),
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
        hp=prepared_facts,
        images=lambda wildcards: source_images(wildcards.dataset),
        # What asks for threads is no reason to run again: a folder may lie anywhere.
        source=lambda wildcards, threads: source_of(wildcards),
        record=SOURCE_RECORD,
    script:
        "../workflow_scripts/prepare_dataset.py"
