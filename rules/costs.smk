"""What methods cost, over all stages that a comparison needs."""


rule cost:
    """Gather what the methods cost: seconds, memory, and passes through networks per image."""
    input:
        unpack(cost_inputs),
    output:
        table=report(
            "results/{dataset}_ipc{ipc}{name}/cost.csv",
            caption="../report/cost.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "cost table"},
        ),
        figure=report(
            "results/{dataset}_ipc{ipc}{name}/cost.png",
            caption="../report/cost.rst",
            category="{dataset}",
            subcategory="IPC {ipc}{name}",
            labels={"artifact": "cost"},
        ),
    log:
        "results/logs/cost/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "cost", 3, stages=cost_stages(wildcards), dpi=config["plots"]["dpi"]
        ),
    script:
        "../workflow_scripts/cost.py"
