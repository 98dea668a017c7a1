"""Gather what was measured of a folder's images in one table and one figure."""

from pathlib import Path

import pandas as pd
import torch
from job import running

from lgd_core.analysis import diagnosis
from lgd_core.analysis.neighbours import distinct_pairs
from lgd_core.base.csv_files import read_csv, write_csv
from lgd_core.base.files import read_json
from lgd_core.data.real_images import load_set
from lgd_core.figures.diagnosis_figure import PAIRS, diagnosis_figure
from lgd_core.figures.set_figures import save_figure

with running(snakemake) as job:
    inputs = snakemake.input
    folder, facts = Path(inputs.images).parent, read_json(inputs.facts)
    files = read_csv(inputs.table, read_json(snakemake.input.record))
    difficulty = read_csv(inputs.difficulty, read_json(inputs.measured))
    neighbours, duplicates = (
        read_csv(inputs[name], facts) for name in ("neighbours", "duplicates")
    )
    cross = read_json(inputs.matrix)
    runs = list(map(read_json, inputs.runs))
    students: dict[str, list[dict]] = {run["student"]: [] for run in runs}
    for run in runs:
        students[run["student"]].append(run)
    table = diagnosis.diagnosis_table(
        diagnosis.set_rows(files)
        + diagnosis.accuracy_rows(students)
        + diagnosis.redundancy_rows(cross["matrix"])
        + diagnosis.complementarity_rows(cross["matrix"], cross["sizes"])
        + diagnosis.difficulty_rows(difficulty)
        + diagnosis.neighbour_rows(neighbours, facts["threshold"])
    )
    write_csv(table, snakemake.output.table)
    images = load_set(folder)[0]
    shown = distinct_pairs(duplicates).head(PAIRS)
    row_of = pd.Series(files.index, files["file"])
    rows = row_of[shown[["file", "within_file"]].to_numpy().flatten()].to_numpy()
    pairs = images[torch.tensor(rows)].unflatten(0, (len(shown), 2))
    name = f"{snakemake.wildcards.external}, evaluated as {job.settings['dataset']}"
    parts = (table, difficulty, neighbours, pairs)
    figure = diagnosis_figure(name, *parts, job.settings["zones"], job.settings["colormap"])
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(figure, snakemake.output.figure, job.settings["dpi"], facts)
