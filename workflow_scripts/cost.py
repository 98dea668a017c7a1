"""Gather what the methods of a comparison cost, and draw it."""

from job import running

from lgd_core.charts import cost_figure
from lgd_core.costs import cost_table, read_amounts
from lgd_core.figures import save_figure
from lgd_core.tables import write_csv

with running(snakemake) as job:
    dataset, ipc = snakemake.wildcards.dataset, int(snakemake.wildcards.ipc)
    known = read_amounts(snakemake.input.prepared, snakemake.input.get("checkpoints"))
    table = cost_table(dataset, ipc, job.hp["stages"], known)
    write_csv(table, snakemake.output.table)
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(cost_figure(table), snakemake.output.figure, job.hp["dpi"], facts)
