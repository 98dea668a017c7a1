"""Make the figure that the rule is called after, and write the tables behind it."""

from job import running

from lgd_core.figures.making import FigureJob, maker, save_figure

# Imports come before the job begins, which gives PyTorch its threads where a figure needs it.
make = maker(snakemake.rule)

with running(snakemake) as job:
    inputs, outputs, wildcards = (
        dict(part.items()) for part in (snakemake.input, snakemake.output, snakemake.wildcards)
    )
    figure = make(FigureJob(inputs, outputs, job.settings, wildcards))
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(figure, outputs["figure"], job.settings["dpi"], facts)
