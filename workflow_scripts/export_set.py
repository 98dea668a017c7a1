"""Write a distilled set in a form of exchange."""

from pathlib import Path

from job import paths_of, running

from lgd_core.analysis.tables import by_protocol, result_row, runs_by_method
from lgd_core.base.files import read_json
from lgd_core.config.external import PROVENANCE
from lgd_core.config.models.images import NormaliseConfig
from lgd_core.config.settings import ClassNames
from lgd_core.exchange.export import export
from lgd_core.exchange.form import forms
from lgd_core.exchange.leaving import Facts, Leaving, accuracy, read_rows

with running(snakemake) as job:
    inputs, words, settings = snakemake.input, snakemake.wildcards, job.settings
    folder, classes = Path(inputs.distilled), job.read("names", ClassNames)
    rows, logits = read_rows(folder, classes.names), None
    if inputs.get("labels"):
        # Needs PyTorch, which takes seconds.
        from lgd_core.evaluation.soft_labels import read_logits

        logits = read_logits(inputs.labels, len(rows))
    accuracies = [
        result_row(words.dataset, int(words.ipc), words.method, student, protocol, runs)
        for protocol, each in by_protocol(map(read_json, paths_of(inputs.get("runs", [])))).items()
        for (_, student), runs in runs_by_method(each).items()
    ]
    facts = Facts(
        dataset=words.dataset,
        ipc=int(words.ipc),
        method=words.method,
        **{key: settings[key] for key in Facts.model_fields if key in settings},
        formation=read_json(folder / PROVENANCE)["formation"],
        accuracies=list(map(accuracy, accuracies)),
        command=f"snakemake --cores 1 -- {snakemake.output.folder}",
    )
    leaving = Leaving(folder, rows, classes, job.read("normalise", NormaliseConfig), facts, logits)
    stamp = job.stamp(
        **facts.model_dump(mode="json"),
        normalise=settings["normalise"],
        increments=read_json(folder / PROVENANCE)["increments"],
        data_files=read_json(inputs.record)["files"],
    )
    target, work = Path(snakemake.output.folder), job.checkpoints / job.fingerprint
    export(target, work, forms()[words.form], leaving, stamp)
