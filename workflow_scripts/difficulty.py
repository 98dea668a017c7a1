"""Draw how easy images are to learn, beside real ones, and how far apart the sets are."""

from drawing import publish
from job import running
from measured import measured_images

from lgd_core.analysis.difficulty import divergence_table
from lgd_core.figures.sample_figures import difficulty_figure
from lgd_core.figures.styles import REAL

with running(snakemake) as job:
    images = measured_images(job).drop(columns=["confidence", "misclassified"])
    methods, settings = job.settings["compared"]["methods"], job.settings
    summary = divergence_table(images, REAL, methods, settings["bins"], settings["bootstraps"])
    publish(job, difficulty_figure, table=images, summary=summary.assign(**settings["zones"]))
