"""Train on each increment alone and test on every other."""

from job import running

from lgd_core.analysis.metrics import mean_off_diagonal
from lgd_core.base.files import write_json
from lgd_core.config.settings import AloneSettings, SeenImages
from lgd_core.data.distilled import load_increment
from lgd_core.evaluation.students import cross_accuracies
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("redundancy", AloneSettings), job.read("network", SeenImages)
    size = job.settings["ipc_per_increment"]
    increments = [
        Images.of_set(job.device, part["images"], part["labels"], metadata["formation"], seen)
        for part, metadata in (load_increment(path, seen, size) for path in snakemake.input)
    ]
    matrix = cross_accuracies(
        seen.network(recipe.architecture),
        increments,
        recipe,
        ("redundancy", int(snakemake.wildcards.seed)),
        job.checkpoint,
    )
    mean = mean_off_diagonal(matrix)
    write_json(snakemake.output.matrix, job.stamp(matrix=matrix, mean_off_diagonal=mean))
