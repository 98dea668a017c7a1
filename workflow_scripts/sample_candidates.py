"""Draw all candidates of an increment for one shard of the classes."""

from artifacts import source_context
from job import running

from lgd_core.base.tensors import save_tensors
from lgd_core.config.divisions import class_runs
from lgd_core.config.settings import DrawSettings
from lgd_core.distill.increments import draw_candidates

with running(snakemake) as job:
    settings, wildcards = job.read("method", DrawSettings), snakemake.wildcards
    classes = job.settings["network"]["classes"]
    labels = class_runs(classes, int(wildcards.shards))[int(wildcards.shard)]
    ipc, weight = settings.ipc_per_increment, settings.reference_weight
    context = source_context(job, settings, ipc, int(wildcards.k), labels, weight)
    candidates, ratios = draw_candidates(context)
    for name, steps in ratios.items():
        for index, ratio in steps.items():
            job.log(f"{name} guidance, step {index}: |change| / |noise| = {ratio:.4f}")
    metadata = job.stamp(labels=labels, guidance_ratios=ratios)
    save_tensors(snakemake.output.candidates, candidates, metadata)
