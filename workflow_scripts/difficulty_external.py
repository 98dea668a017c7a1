"""Measure how fast a new network learns each image of a folder."""

from pathlib import Path

import pandas as pd
from job import running

from lgd_core.analysis.difficulty import difficulty_frame, probabilities_in_training
from lgd_core.base.csv_files import read_csv, write_csv
from lgd_core.base.digests import file_digests
from lgd_core.base.files import read_json, write_json
from lgd_core.config.settings import SeenImages, WatchedSettings
from lgd_core.data.real_images import load_set
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("difficulty", WatchedSettings), job.read("network", SeenImages)
    folder = Path(snakemake.input.images).parent
    data = Images.on(job.device, *load_set(folder), seen)
    spec = seen.network(recipe.architecture)
    watched = probabilities_in_training(spec, data, recipe, ("difficulty", 0), job.checkpoint)
    difficulty = difficulty_frame(watched, **job.settings["zones"])
    files = read_csv(snakemake.input.table, read_json(snakemake.input.record))
    table = pd.concat([files[["file", "class", "increment"]], difficulty], axis=1)
    write_csv(table, snakemake.output.samples)
    written = file_digests([snakemake.output.samples])
    write_json(snakemake.output.facts, job.stamp(files=written))
