"""Watch a new network's belief in the labels of a folder's images while it learns them."""

from pathlib import Path

import pandas as pd
from job import running

from lgd_core.data import load_split
from lgd_core.difficulty import difficulty_frame, probabilities_in_training
from lgd_core.tables import write_csv
from lgd_core.training import Images, network_shape

with running(snakemake) as job:
    recipe, facts = job.hp["difficulty"], job.hp["network"]
    data = Images.on(job.device, *load_split(Path(snakemake.input.images).parent, "set"), facts)
    shape = network_shape(recipe["architecture"], facts)
    watched = probabilities_in_training(shape, data, recipe, ("difficulty", 0), job.resume)
    difficulty = difficulty_frame(watched, **job.hp["zones"])
    files = pd.read_csv(snakemake.input.table)[["file", "class", "increment"]]
    write_csv(pd.concat([files, difficulty], axis=1), snakemake.output.samples)
