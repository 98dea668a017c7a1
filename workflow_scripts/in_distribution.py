"""Draw the reference's confidence in every image against how easily it is learned."""

from drawing import publish
from job import running
from measured import measured_images

from lgd_core.figures.sample_figures import in_distribution_figure

with running(snakemake) as job:
    images = measured_images(job).drop(columns=["sigma2", "zone"])
    publish(job, in_distribution_figure, table=images)
