"""Gather the accuracies of all methods and students."""

from job import running

from lgd_core.analysis.tables import (
    differences,
    read_paper,
    result_row,
    result_table,
    runs_by_method,
)
from lgd_core.base.csv_files import write_csv
from lgd_core.base.digests import file_digests
from lgd_core.base.files import read_json, write_json

with running(snakemake) as job:
    dataset, ipc = snakemake.wildcards.dataset, int(snakemake.wildcards.ipc)
    protocol = job.settings["protocol"]
    runs = runs_by_method(map(read_json, snakemake.input.runs))
    rows = [
        result_row(dataset, ipc, method, student, protocol, each)
        for (method, student), each in runs.items()
    ]
    for row, difference in zip(rows, differences(runs, "dit").values(), strict=True):
        row["diff_to_dit"], row["diff_se"] = difference
    reference = read_json(snakemake.input.reference)
    architecture = job.settings["reference"]
    rows.append(result_row(dataset, ipc, "full", architecture, "reference", [reference]))
    write_csv(result_table(rows, read_paper(snakemake.input.paper)), snakemake.output.table)
    validation = {
        f"{method}/{student}": [run["validation_top1"] for run in each]
        for (method, student), each in runs.items()
    }
    files = file_digests([snakemake.output.table])
    write_json(snakemake.output.provenance, job.stamp(validation_top1=validation, files=files))
