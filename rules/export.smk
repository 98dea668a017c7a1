"""Distilled sets in the forms that other programs load."""


rule export_set:
    """Write a distilled set in a form of exchange, with its card and its provenance."""
    input:
        unpack(export_inputs),
    output:
        folder=directory("results/{dataset}_ipc{ipc}{name}/export/{method}/{form}"),
    log:
        "results/logs/export_set/{dataset}_ipc{ipc}{name}_{method}_{form}.log",
    benchmark:
        "results/benchmarks/export_set/{dataset}_ipc{ipc}{name}_{method}_{form}.tsv"
    conda:
        "../environment.yml"
    params:
        settings=export_settings,
    script:
        "../workflow_scripts/export_set.py"
