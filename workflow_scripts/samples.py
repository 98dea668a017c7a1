"""Draw the images of every method in a grid of classes and increments."""

from pathlib import Path

from job import running

from lgd_core.data.distilled import read_grid
from lgd_core.figures.set_figures import sample_grids, save_figure

with running(snakemake) as job:
    first_seed = f"s{job.settings['compared']['seeds'][0]}"
    folders = [Path(folder) for folder in snakemake.input]
    grids = {
        folder.parts[2]: read_grid(folder, job.settings["classes"], job.settings["per_cell"])
        for folder in folders
        if folder.parts[3] == first_seed
    }
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    figure = sample_grids(grids, job.settings["classes"])
    save_figure(figure, snakemake.output.figure, job.settings["dpi"], facts)
