rule table:
    """Gather the accuracies of all methods and students, beside the paper's where it has them."""
    input:
        runs=over_methods(
            "results/{dataset}/{method}/s{seed}/k{k}/evaluate/{student}.json",
            student=students_of,
        ),
        reference="results/{dataset}/reference/metrics.json",
        paper=lambda wildcards: paper_tables(wildcards, ["table_1", "table_5"]),
    output:
        table=report(
            "results/{dataset}_ipc{ipc}/table.csv",
            caption="../report/table.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "accuracy table"},
        ),
        provenance="results/{dataset}_ipc{ipc}/table.json",
    log:
        "results/logs/table/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "table",
            compared=compared(wildcards),
            students=students_of(wildcards),
            protocol=dataset_of(wildcards)["evaluation"]["protocol"],
            reference=dataset_of(wildcards)["reference"]["architecture"],
        ),
    script:
        "../workflow_scripts/table.py"


rule redundancy_heatmap:
    """Draw the cross-increment accuracies of all methods side by side."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/cross_increment.json"),
    output:
        table="results/{dataset}_ipc{ipc}/redundancy.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/redundancy.png",
            caption="../report/redundancy.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "redundancy heatmaps"},
        ),
    log:
        "results/logs/redundancy_heatmap/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "redundancy_heatmap",
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
            for method in config["methods"]
            for path in expand(
                "results/{dataset}/{method}/s{seed}/k{k}/learner.json",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=range(last_increment(wildcards, method) + 1),
            )
        ],
    output:
        table="results/{dataset}_ipc{ipc}/curve.csv",
        figure=report(
            "results/{dataset}_ipc{ipc}/curve.png",
            caption="../report/curve.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "learner curves"},
        ),
    log:
        "results/logs/curve/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "curve", compared=compared(wildcards), dpi=config["plots"]["dpi"]
        ),
    script:
        "../workflow_scripts/curve.py"


rule samples:
    """Draw the images of every method in a grid of classes and increments."""
    input:
        over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled"),
    output:
        figure=report(
            "results/{dataset}_ipc{ipc}/samples.png",
            caption="../report/samples.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "image grids"},
        ),
    log:
        "results/logs/samples/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "samples",
            compared=compared(wildcards),
            classes=dataset_of(wildcards)["classes"],
            per_cell=config["plots"]["samples_per_cell"],
            dpi=config["plots"]["dpi"],
        ),
    script:
        "../workflow_scripts/samples.py"


rule ablation:
    """Gather and draw the accuracies of a family of methods, beside the paper's where it has them."""
    input:
        unpack(family_inputs),
    output:
        table="results/{dataset}/ablation/{family}.csv",
        figure=report(
            "results/{dataset}/ablation/{family}.png",
            caption="../report/ablation.rst",
            category="{dataset}",
            subcategory="Ablations",
            labels={"artifact": "{family}"},
        ),
    log:
        "results/logs/ablation/{dataset}_{family}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "ablation",
            family=family_of(wildcards),
            sizes=family_sizes(wildcards),
            seeds=config["seeds"],
            protocol=dataset_of(wildcards)["evaluation"]["protocol"],
            dpi=config["plots"]["dpi"],
        ),
    script:
        "../workflow_scripts/ablation.py"


rule cost:
    """Gather what the methods cost: seconds, memory, and passes through networks per image."""
    input:
        unpack(cost_inputs),
    output:
        table=report(
            "results/{dataset}_ipc{ipc}/cost.csv",
            caption="../report/cost.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "cost table"},
        ),
        figure=report(
            "results/{dataset}_ipc{ipc}/cost.png",
            caption="../report/cost.rst",
            category="{dataset}",
            subcategory="IPC {ipc}",
            labels={"artifact": "cost"},
        ),
    log:
        "results/logs/cost/{dataset}_ipc{ipc}.log",
    conda:
        "../environment.yml"
    params:
        hp=lambda wildcards: stage(
            "cost", stages=cost_stages(wildcards), dpi=config["plots"]["dpi"]
        ),
    script:
        "../workflow_scripts/cost.py"
