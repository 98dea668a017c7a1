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
            "fetch_dataset", source=dataset_of(wildcards)["source"]
        ),
    script:
        "../workflow_scripts/fetch_dataset.py"


rule prepare_dataset:
    """Split real images into training, validation and test arrays that are memory-mapped later."""
    input:
        facts="results/{dataset}/data/source.json",
        raw="results/{dataset}/data/raw",
    output:
        arrays("train", "validation", "test"),
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "prepare_dataset",
            source=dataset_of(wildcards)["source"],
            image=dataset_of(wildcards)["image"],
            classes=dataset_of(wildcards)["classes"],
        ),
    script:
        "../workflow_scripts/prepare_dataset.py"
