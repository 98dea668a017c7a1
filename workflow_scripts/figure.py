"""Make the figure with the name of the stage, and write the tables behind it."""

from job import running

from lgd_core.figures.making import FigureJob, maker, save_figure

# Import before the job begins: it sets PyTorch's threads if PyTorch has been imported.
make = maker(snakemake.params.settings["stage"])

with running(snakemake) as job:
    inputs, outputs, wildcards = (
        dict(part.items()) for part in (snakemake.input, snakemake.output, snakemake.wildcards)
    )
    figure = make(FigureJob(inputs, outputs, job.settings, wildcards))
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(figure, outputs["figure"], job.settings["dpi"], facts)
