"""Draw the learner's accuracy after every increment and its training loss across them."""

from job import running

from lgd_core.analysis.tables import curve_table
from lgd_core.base.csv_files import write_csv
from lgd_core.base.files import read_json
from lgd_core.figures.set_figures import curves, save_figure

with running(snakemake) as job:
    learners = {
        (artifact["method"], int(artifact["seed"]), int(artifact["k"])): artifact
        for artifact in map(read_json, snakemake.input)
    }
    table = curve_table(learners)
    write_csv(table, snakemake.output.table)
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(curves(table), snakemake.output.figure, job.settings["dpi"], facts)
