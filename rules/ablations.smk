"""Sweeps: methods that differ in one key, in one table and figure."""


def family_of(wildcards):
    return checked(RECIPES.sweep, wildcards.dataset, wildcards.family)


def family_sizes(wildcards):
    """Return the images per class of an increment, by method of a family."""
    return {
        method: checked(RECIPES.method, wildcards.dataset, method)["ipc_per_increment"]
        for _, method in family_of(wildcards)["variants"]
    }


def family_inputs(wildcards):
    """Return what is known of every variant, at every amount of images per class."""
    family, inputs = family_of(wildcards), {}
    made = {
        method: [ipc // size - 1 for ipc in family["ipc"]]
        for method, size in family_sizes(wildcards).items()
    }

    def files(name, last_only=False, **values):
        return [
            path
            for method, ks in made.items()
            for path in expand(
                f"results/{{dataset}}/{{method}}/s{{seed}}/k{{k}}/{name}",
                dataset=wildcards.dataset,
                method=method,
                seed=config["seeds"],
                k=[max(ks)] if last_only else ks,
                **values,
            )
        ]

    inputs["runs"] = files(
        "evaluate/{protocol}/{student}/r{run}.json",
        protocol=protocol_of(wildcards),
        student=family["students"],
        run=range(config["runs"]),
    )
    if family["learner"]:
        inputs["learners"] = files("learner.json")
    if family["redundancy"]:
        # The matrix of fewer increments is the corner of that of more.
        inputs["matrices"] = files("cross_increment.json", last_only=True)
    inputs["paper"] = paper_tables(wildcards, family["paper"])
    return inputs


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
