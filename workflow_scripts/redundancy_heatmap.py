"""Draw the cross-increment accuracies of all methods side by side."""

from job import running

from lgd_core.analysis.tables import redundancy_table
from lgd_core.base.csv_files import write_csv
from lgd_core.base.files import read_json
from lgd_core.figures.set_figures import heatmaps, save_figure

with running(snakemake) as job:
    matrices: dict[str, list] = {}
    for artifact in map(read_json, snakemake.input):
        matrices.setdefault(artifact["method"], []).append(artifact["matrix"])
    table = redundancy_table(matrices)
    write_csv(table, snakemake.output.table)
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    figure = heatmaps(table, job.settings["colormap"])
    save_figure(figure, snakemake.output.figure, job.settings["dpi"], facts)
