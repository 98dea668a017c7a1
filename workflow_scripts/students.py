"""Gather the accuracy of every student."""

from job import running

from lgd_core.analysis.students import students_table
from lgd_core.base.csv_files import write_csv
from lgd_core.base.files import read_json

with running(snakemake) as job:
    runs = map(read_json, snakemake.input.runs)
    table = students_table(runs, int(snakemake.wildcards.ipc), job.settings["recipes"])
    write_csv(table, snakemake.output.table)
