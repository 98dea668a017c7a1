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
            source=source_of(
                wildcards, "kind", "folder", "archive", of_fonts=["packages"]
            ),
        ),
    script:
        "../workflow_scripts/fetch_dataset.py"


rule prepare_dataset:
    """Split real images into training, validation and test arrays that are memory-mapped later."""
    input:
        facts="results/{dataset}/data/source.json",
        raw="results/{dataset}/data/raw",
    output:
        array_files("train", "originals", "validation", "test"),
        facts=PREPARED,
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    conda:
        "../environment.yml"
    threads: ALL_CORES
    params:
        hp=lambda wildcards: stage(
            "prepare_dataset",
            source=source_of(
                wildcards,
                "kind",
                "folder",
                "validation_fraction",
                "skip_broken",
                of_fonts=["characters", "exclude", "test_fraction", "min_distance"],
            ),
            image=dataset_of(wildcards)["image"],
            classes=dataset_of(wildcards)["classes"],
            wnids=dataset_of(wildcards)["wnids"],
        ),
    script:
        "../workflow_scripts/prepare_dataset.py"
