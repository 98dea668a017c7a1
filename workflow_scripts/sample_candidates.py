"""Draw all candidates of an increment for one shard of the classes."""

from artifacts import load_artifacts
from job import open_prior, running

from lgd_core.base.tensors import save_tensors
from lgd_core.distill.increments import draw_candidates, shard_classes

with running(snakemake) as job:
    facts, wildcards = job.settings["network"], snakemake.wildcards
    labels = shard_classes(len(facts["classes"]), int(wildcards.shard), int(wildcards.shards))
    candidates, ratios = draw_candidates(
        open_prior(job),
        load_artifacts(job),
        facts | {"prior_labels": job.settings["prior_labels"]},
        job.settings["method"],
        labels,
        (int(wildcards.seed), int(wildcards.k)),
        job.checkpoint,
    )
    for name, steps in ratios.items():
        for index, ratio in steps.items():
            job.log(f"{name} guidance, step {index}: |change| / |noise| = {ratio:.4f}")
    metadata = job.stamp(labels=labels, guidance_ratios=ratios)
    save_tensors(snakemake.output.candidates, candidates, metadata)
