"""Gather what was measured of a folder's images in one table and one figure."""

from pathlib import Path

import pandas as pd
import torch
from job import running

from lgd_core import diagnosis
from lgd_core.data import load_split
from lgd_core.diagnosis_figure import PAIRS, diagnosis_figure
from lgd_core.figures import save_figure
from lgd_core.neighbours import distinct_pairs
from lgd_core.tables import read_json, write_csv

with running(snakemake) as job:
    inputs = snakemake.input
    files, difficulty, neighbours, duplicates = (
        pd.read_csv(inputs[name]) for name in ("table", "difficulty", "neighbours", "duplicates")
    )
    cross = read_json(inputs.matrix)
    students = {Path(path).stem: read_json(path)["runs"] for path in inputs.runs}
    table = diagnosis.diagnosis_table(
        diagnosis.set_rows(files)
        + diagnosis.accuracy_rows(students)
        + diagnosis.redundancy_rows(cross["matrix"])
        + diagnosis.complementarity_rows(cross["matrix"], cross["sizes"])
        + diagnosis.difficulty_rows(difficulty)
        + diagnosis.neighbour_rows(neighbours, read_json(inputs.facts)["threshold"])
    )
    write_csv(table, snakemake.output.table)
    images = load_split(Path(inputs.images).parent, "set")[0]
    shown = distinct_pairs(duplicates).head(PAIRS)
    row_of = pd.Series(files.index, files["file"])
    rows = row_of[shown[["file", "within_file"]].to_numpy().flatten()].to_numpy()
    pairs = images[torch.tensor(rows)].unflatten(0, (len(shown), 2))
    name = f"{snakemake.wildcards.external}, judged as {job.hp['dataset']}"
    parts = (table, difficulty, neighbours, pairs)
    figure = diagnosis_figure(name, *parts, job.hp["zones"], job.hp["colormap"])
    facts = {"Description": f"fingerprint {job.fingerprint}"}
    save_figure(figure, snakemake.output.figure, job.hp["dpi"], facts)
