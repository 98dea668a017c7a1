"""Write the page for looking at distilled sets."""

from pathlib import Path

import torch
from job import running

from lgd_core.analysis.tables import REDUNDANCY_COLUMNS
from lgd_core.base.csv_files import parse_csv, read_csv
from lgd_core.base.files import atomic, read_json
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increment
from lgd_core.figures.gallery import Gallery, groups_of, joined, reduced, set_table
from lgd_core.figures.results import results_of
from lgd_core.networks.classifiers import load_network

with running(snakemake) as job:
    seen, sets, images = job.read("network", SeenImages), {}, []
    paths: dict[tuple[str, int], list[str]] = {}
    for path in snakemake.input.increments:
        method, seed = Path(path).parts[-4:-2]
        paths.setdefault((method, int(seed[1:])), []).append(path)
    reference = load_network(snakemake.input.reference, job.device, seen.network_input)
    for key, files in paths.items():
        read = [load_increment(file, seen) for file in files]
        increments, metadata = zip(*read, strict=True)
        factor = metadata[0]["formation"]
        learners = [
            load_network(path, job.device, seen.network_input)
            for path in (Path(file).with_name("learner.safetensors") for file in files[:-1])
        ]
        sets[key] = set_table(increments, factor, learners, reference, seen, job.device)
        images += [reduced(tensors["images"], job.settings["side"]) for tensors in increments]
        job.log(f"{key[0]}, seed {key[1]}: {len(sets[key])} images")
    title = f"{snakemake.wildcards.dataset}, {snakemake.wildcards.ipc} images per class"
    names = job.settings["names"]
    results = results_of(
        read_csv(snakemake.input.table, read_json(snakemake.input.record)),
        parse_csv(snakemake.input.redundancy, REDUNDANCY_COLUMNS),
        job.settings["descriptions"],
    )
    gallery = Gallery(
        title=title,
        table=joined(sets),
        images=torch.cat(images),
        classes=names,
        results=results,
        evidence=f"Fingerprint {job.fingerprint}.",
    )
    folder = Path(snakemake.output.files)
    groups = groups_of(len(names), job.settings.get("classes_per_group", len(names)))
    paged = len(groups) > 1
    with atomic(folder) as temporary:
        temporary.mkdir()
        if paged:
            gallery.write_groups(temporary, groups)
    with atomic(snakemake.output.page) as temporary:
        text = gallery.index(groups, folder.name) if paged else gallery.page()
        temporary.write_text(text, encoding="utf-8")
