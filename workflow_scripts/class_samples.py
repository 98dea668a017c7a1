"""Draw one class's images, methods by increments, with the score S under each."""

from pathlib import Path

import pandas as pd
import torch
from drawing import publish
from job import running

from lgd_core.data.distilled import read_class
from lgd_core.figures.sample_figures import class_figure

with running(snakemake) as job:
    name, rows, images = job.settings["class_name"], [], []
    for folder in snakemake.input:
        method, seed = Path(folder).parts[2:4]
        listed, pixels = read_class(folder, name, job.settings["per_cell"])
        rows += [{"method": method, "seed": int(seed[1:])} | row for row in listed]
        images.append(pixels)
    table, pixels = pd.DataFrame(rows), torch.cat(images)
    publish(job, lambda frame, _: class_figure(frame, pixels, name), table=table)
