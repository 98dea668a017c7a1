"""Draw all candidates of an increment for one shard of the classes."""

from pathlib import Path

from job import open_prior, running

from lgd_core.candidates import memory_of
from lgd_core.distilled import load_tensors, save_tensors
from lgd_core.increments import draw_candidates, shard_classes
from lgd_core.learners import load_network
from lgd_core.selection import Scorer
from lgd_core.training import preprocessor

with running(snakemake) as job:
    method, facts = job.hp["method"], job.hp["network"]
    wildcards, inputs = snakemake.wildcards, snakemake.input
    classes = len(facts["classes"])
    scorer = None
    if inputs.get("learner"):
        scorer = Scorer(
            load_network(inputs.learner, job.device),
            load_network(inputs.reference, job.device),
            preprocessor(facts).to(job.device),
            method["learnability"]["reference_weight"],
        )
    memory = None
    if inputs.get("memory"):
        memory = memory_of([load_tensors(path)[0] for path in inputs.memory], classes)
    labels = shard_classes(classes, int(wildcards.shard), int(wildcards.shards))
    candidates, ratios = draw_candidates(
        open_prior(job),
        scorer,
        facts | {"prior_labels": job.hp["prior_labels"]},
        method,
        labels,
        (int(wildcards.seed), int(wildcards.k)),
        memory,
        Path(inputs.real[0]).parent if inputs.get("real") else None,
        job.resume,
    )
    for name, steps in ratios.items():
        for index, ratio in steps.items():
            job.log(f"{name} guidance, step {index}: |change| / |noise| = {ratio:.4f}")
    metadata = job.stamp(labels=labels, guidance_ratios=ratios)
    save_tensors(snakemake.output.candidates, candidates, metadata)
