"""Pages to read and to look at: the table, the gallery of images."""


def gallery_inputs(wildcards):
    """Return all increments of a target, and the learners that came before them."""
    inputs = {"increments": [], "learners": []}
    for method in config["methods"]:
        last = last_increment(wildcards, method)
        for artifact, count in (("increment", last + 1), ("learner", last)):
            inputs[f"{artifact}s"] += expand(
                "results/{dataset}/{method}/s{seed}/k{k}/{artifact}.safetensors",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(count),
                artifact=artifact,
            )
    return inputs


rule table_page:
    """Write the accuracy table as a page to read."""
    input:
        table="results/{dataset}_ipc{ipc}/table.csv",
        record="results/{dataset}_ipc{ipc}/table.json",
    output:
        page=report(
            "results/{dataset}_ipc{ipc}/table.html",
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "accuracy table, to read"},
        ),
    log:
        "results/logs/table_page/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage("table_page", 1, compared=compared(wildcards)),
    script:
        "../workflow_scripts/table_page.py"


rule gallery:
    """Write one page to look at the images of every method: filter, sort, click for details."""
    input:
        unpack(gallery_inputs),
        reference="results/{dataset}/reference/model.safetensors",
    output:
        page="results/{dataset}_ipc{ipc}/gallery.html",
    log:
        "results/logs/gallery/{dataset}_ipc{ipc}.log",
    benchmark:
        "results/benchmarks/gallery/{dataset}_ipc{ipc}.tsv"
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
        ),
    script:
        "../workflow_scripts/gallery.py"
