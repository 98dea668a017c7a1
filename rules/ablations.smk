"""Sweeps: methods that differ in one key, in one table and figure."""


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
        settings=lambda wildcards: stage(
            "ablation",
            2,
            family=family_of(wildcards),
            sizes=family_sizes(wildcards),
            seeds=config["seeds"],
            protocol=protocol_of(wildcards),
            dpi=config["plots"]["dpi"],
        ),
    script:
        "../workflow_scripts/ablation.py"
