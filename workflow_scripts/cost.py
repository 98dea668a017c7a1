"""Gather what the methods of a comparison cost, and draw it."""

from job import running

from lgd_core.analysis.costs import cost_table, read_amounts
from lgd_core.base.csv_files import write_csv
from lgd_core.figures.charts import cost_figure
from lgd_core.figures.set_figures import save_figure

with running(snakemake) as job:
    dataset, ipc = snakemake.wildcards.dataset, int(snakemake.wildcards.ipc)
    known = read_amounts(snakemake.input.prepared, snakemake.input.get("checkpoints"))
    table = cost_table(dataset, ipc, job.settings["stages"], known)
    write_csv(table, snakemake.output.table)
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(cost_figure(table), snakemake.output.figure, job.settings["dpi"], facts)
