"""What every run ends with: the table of accuracies, redundancy, learner curves, samples."""


rule table:
    """Gather the accuracies of all methods and students, beside the paper's where it has them."""
    input:
        runs=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/evaluate/{protocol}/{student}/r{run}.json",
            protocol=protocol_of,
            student=students_of,
            run=lambda wildcards: range(config["runs"]),
        ),
        reference="results/{dataset}/reference/metrics.json",
        paper=lambda wildcards: paper_tables(wildcards, ["table_1", "table_5"]),
    output:
        table=report(
            "results/{dataset}_ipc{ipc}{name}/table.csv",
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "accuracy table"},
        ),
        provenance="results/{dataset}_ipc{ipc}{name}/table.json",
    log:
        "results/logs/table/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "table",
            3,
            compared=compared(wildcards),
            students=students_of(wildcards),
            protocol=protocol_of(wildcards),
            reference=dataset_of(wildcards).reference.architecture,
        ),
    script:
        "../workflow_scripts/table.py"


rule redundancy_heatmap:
    """Draw the cross-increment accuracies of all methods side by side."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json"),
    output:
        table="results/{dataset}_ipc{ipc}{name}/redundancy.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/redundancy.png",
            caption="../report/redundancy.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "redundancy heatmaps"},
        ),
    log:
        "results/logs/redundancy_heatmap/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "redundancy_heatmap",
            2,
            compared=compared(wildcards),
            dpi=config["plots"]["dpi"],
            colormap=config["plots"]["colormap"],
        ),
    script:
        "../workflow_scripts/redundancy_heatmap.py"


rule curve:
    """Draw the learner's accuracy after every increment and its training loss across them."""
    input:
        lambda wildcards: [
            path
            for method in methods_of(wildcards)
            for path in expand(
                "results/{dataset}/{method}/s{seed}/k{k}/learner.json",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(last_increment(wildcards, method) + 1),
            )
        ],
    output:
        table="results/{dataset}_ipc{ipc}{name}/curve.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/curve.png",
            caption="../report/curve.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "learner curves"},
        ),
    log:
        "results/logs/curve/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "curve", 1, compared=compared(wildcards), dpi=config["plots"]["dpi"]
        ),
    script:
        "../workflow_scripts/curve.py"


rule samples:
    """Draw the images of every method in a grid of classes and increments."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/samples.png",
            caption="../report/samples.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "image grids"},
        ),
    log:
        "results/logs/samples/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "samples",
            2,
            compared=compared(wildcards),
            classes=dataset_of(wildcards).class_names,
            per_cell=config["plots"]["samples_per_cell"],
            dpi=config["plots"]["dpi"],
        ),
    script:
        "../workflow_scripts/samples.py"
