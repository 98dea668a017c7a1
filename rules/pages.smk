"""HTML pages: the accuracy table and the gallery of images."""


rule table_page:
    """Write the accuracy table as a page."""
    input:
        table="results/{dataset}_ipc{ipc}{name}/table.csv",
        record="results/{dataset}_ipc{ipc}{name}/table.json",
        redundancy="results/{dataset}_ipc{ipc}{name}/redundancy.csv",
        # For how long students learned, and on what.
        runs=runs_of_table,
        sets=ancient(over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled")),
    output:
        page=reported(
            "results/{dataset}_ipc{ipc}{name}/table.html",
            "accuracy table",
            caption="table",
            category="Accuracy",
            subcategory="{dataset}, IPC {ipc}{name}",
        ),
    log:
        "results/logs/table_page/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "table_page",
            2,
            compared=compared(wildcards),
            descriptions=descriptions_of(wildcards),
        ),
    script:
        "../workflow_scripts/table_page.py"


rule gallery:
    """Write a page that opens with accuracies and shows all methods' images: filter, sort, details."""
    input:
        unpack(gallery_inputs),
        reference="results/{dataset}/reference/model.safetensors",
        table="results/{dataset}_ipc{ipc}{name}/table.csv",
        record="results/{dataset}_ipc{ipc}{name}/table.json",
        redundancy="results/{dataset}_ipc{ipc}{name}/redundancy.csv",
        # Not read, but the page leads to it.
        table_page="results/{dataset}_ipc{ipc}{name}/table.html",
    output:
        page="results/{dataset}_ipc{ipc}{name}/gallery.html",
        # What the page of a data set with many classes loads; empty for others. No run has this name.
        files=directory("results/{dataset}_ipc{ipc}{name}/gallery.files"),
    log:
        "results/logs/gallery/{dataset}_ipc{ipc}{name}.log",
    benchmark:
        "results/benchmarks/gallery/{dataset}_ipc{ipc}{name}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "gallery",
            2,
            compared=compared(wildcards),
            descriptions=descriptions_of(wildcards),
            side=config["plots"]["gallery_side"],
            network=seen_images(dataset_of(wildcards)),
            names=dataset_of(wildcards).class_names,
            **classes_per_group(wildcards),
        ),
    script:
        "../workflow_scripts/gallery.py"
