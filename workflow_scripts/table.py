"""Gather the accuracies of all methods and students."""

from job import running

from lgd_core.analysis.tables import (
    by_protocol,
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
    rows, validation = [], {}
    for protocol, artifacts in by_protocol(map(read_json, snakemake.input.runs)).items():
        runs = runs_by_method(artifacts)
        above = differences(runs, "dit")
        for (method, student), each in runs.items():
            row = result_row(dataset, ipc, method, student, protocol, each)
            row["diff_to_dit"], row["diff_se"] = above[method, student]
            rows.append(row)
            name = f"{protocol}/{method}/{student}"
            validation[name] = [run["validation_top1"] for run in each]
    reference = read_json(snakemake.input.reference)
    architecture = job.settings["reference"]
    rows.append(result_row(dataset, ipc, "full", architecture, "reference", [reference]))
    write_csv(result_table(rows, read_paper(snakemake.input.paper)), snakemake.output.table)
    files = file_digests([snakemake.output.table])
    write_json(snakemake.output.provenance, job.stamp(validation_top1=validation, files=files))
