"""Gather the accuracies of all methods and students."""

from job import running

from lgd_core.runtime import write_json
from lgd_core.tables import read_json, result_row, result_table, write_csv

with running(snakemake) as job:
    dataset, ipc = snakemake.wildcards.dataset, int(snakemake.wildcards.ipc)
    protocol = job.hp["protocol"]
    runs: dict[tuple[str, str], list[dict]] = {}
    for path in snakemake.input.runs:
        artifact = read_json(path)
        runs.setdefault((artifact["method"], artifact["student"]), []).extend(artifact["runs"])
    rows = [
        result_row(dataset, ipc, method, student, protocol, each)
        for (method, student), each in runs.items()
    ]
    reference = read_json(snakemake.input.reference)
    architecture = job.hp["reference"]
    rows.append(result_row(dataset, ipc, "full", architecture, "reference", [reference]))
    write_csv(result_table(rows), snakemake.output.table)
    validation = {
        f"{method}/{student}": [run["validation_top1"] for run in each]
        for (method, student), each in runs.items()
    }
    write_json(snakemake.output.provenance, job.stamp(validation_top1=validation))
