"""Train on each increment of a folder alone and test on every other."""

from pathlib import Path

import torch
from job import running

from lgd_core.analysis.metrics import mean_off_diagonal
from lgd_core.base.csv_files import read_csv
from lgd_core.base.files import read_json, write_json
from lgd_core.config.settings import AloneSettings, SeenImages
from lgd_core.data.real_images import load_set
from lgd_core.evaluation.students import cross_accuracies
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("redundancy", AloneSettings), job.read("network", SeenImages)
    images, labels = load_set(Path(snakemake.input.images).parent)
    files = read_csv(snakemake.input.table, read_json(snakemake.input.record))
    increment = torch.tensor(files["increment"].to_numpy())
    rows = [(increment == k).nonzero().flatten() for k in range(int(increment.max()) + 1)]
    matrix = cross_accuracies(
        seen.network(recipe.architecture),
        [Images.on(job.device, images[part], labels[part], seen) for part in rows],
        recipe,
        ("redundancy", 0),
        job.checkpoint,
    )
    mean = mean_off_diagonal(matrix)
    sizes = [len(part) for part in rows]
    write_json(
        snakemake.output.matrix, job.stamp(matrix=matrix, mean_off_diagonal=mean, sizes=sizes)
    )
