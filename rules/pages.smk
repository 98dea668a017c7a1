"""HTML pages: the accuracy table and the gallery of images."""


rule table_page:
    """Write the accuracy table as a page."""
    input:
        table="results/{dataset}_ipc{ipc}{name}/table.csv",
        record="results/{dataset}_ipc{ipc}{name}/table.json",
    output:
        page=reported(
            "results/{dataset}_ipc{ipc}{name}/table.html",
            "accuracy table, to read",
            caption="table",
        ),
    log:
        "results/logs/table_page/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage("table_page", 1, compared=compared(wildcards)),
    script:
        "../workflow_scripts/table_page.py"


rule gallery:
    """Write a page for looking at the images of all methods: filter, sort, click for details."""
    input:
        unpack(gallery_inputs),
        reference="results/{dataset}/reference/model.safetensors",
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
            1,
            compared=compared(wildcards),
            side=config["plots"]["gallery_side"],
            network=seen_images(dataset_of(wildcards)),
            names=dataset_of(wildcards).class_names,
            **classes_per_group(wildcards),
        ),
    script:
        "../workflow_scripts/gallery.py"
