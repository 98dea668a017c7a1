"""The accuracy table, the main result of every run."""


rule table:
    """Gather the accuracies of all methods and students, with the paper's if it has them."""
    input:
        runs=runs_of_table,
        reference="results/{dataset}/reference/metrics.json",
        # Not read, but a table should be made together with the sets as images.
        sets=ancient(over_methods("results/{dataset}/{method}/s{seed}/k{k}/distilled")),
        paper=lambda wildcards: paper_tables(
            wildcards, ["table_1", "table_2", "table_5"]
        ),
    output:
        table=reported(
            "results/{dataset}_ipc{ipc}{name}/table.csv",
            "accuracy table, numbers",
            caption="table",
            category="Accuracy",
            subcategory="{dataset}, IPC {ipc}{name}",
        ),
        provenance="results/{dataset}_ipc{ipc}{name}/table.json",
    log:
        "results/logs/table/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "table",
            4,
            compared=compared(wildcards),
            students=students_of(wildcards),
            reference=dataset_of(wildcards).reference.architecture,
        ),
    script:
        "../workflow_scripts/table.py"


rule students:
    """List the accuracy of every student, of which the table has the means."""
    input:
        runs=runs_of_table,
    output:
        table="results/{dataset}_ipc{ipc}{name}/students.csv",
    log:
        "results/logs/students/{dataset}_ipc{ipc}{name}.log",
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "students",
            1,
            compared=compared(wildcards),
            students=students_of(wildcards),
            recipes={
                m: recipe_fingerprint(checked(RECIPES.origins, wildcards.dataset, m))
                for m in methods_of(wildcards)
            },
        ),
    script:
        "../workflow_scripts/students.py"
