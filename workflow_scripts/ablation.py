"""Gather the accuracies of a family's variants and draw them."""

from job import running

from lgd_core.analysis.ablations import ablation_table, learner_runs
from lgd_core.analysis.tables import read_paper
from lgd_core.base.csv_files import write_csv
from lgd_core.base.files import read_json
from lgd_core.figures.charts import ablation_figure
from lgd_core.figures.set_figures import save_figure

with running(snakemake) as job:
    family, inputs = job.settings["family"], snakemake.input
    students = list(map(read_json, inputs.runs))
    learners = map(learner_runs, map(read_json, inputs.get("learners", [])))
    table = ablation_table(
        snakemake.wildcards.dataset,
        family,
        job.settings["sizes"],
        {job.settings["protocol"]: students, "incremental": list(learners)},
        list(map(read_json, inputs.get("matrices", []))),
        read_paper(inputs.get("paper", [])),
    )
    write_csv(table, snakemake.output.table)
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    figure = ablation_figure(table, family["title"], family["key"] or "method")
    save_figure(figure, snakemake.output.figure, job.settings["dpi"], facts)
