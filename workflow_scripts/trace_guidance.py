"""Redraw a few positions of an increment, guided and unguided, and watch every step."""

from artifacts import load_artifacts
from job import open_prior, running

from lgd_core.analysis.traces import trace_guidance
from lgd_core.base.tensors import save_tensors
from lgd_core.distill.increments import guided_increment

with running(snakemake) as job:
    facts, wildcards = job.settings["network"], snakemake.wildcards
    spec = guided_increment(
        facts | {"prior_labels": job.settings["prior_labels"]},
        job.settings["method"],
        list(range(len(facts["classes"]))),
        (int(wildcards.seed), int(wildcards.k)),
    )
    trace = trace_guidance(
        open_prior(job), load_artifacts(job), spec, job.settings["positions"], job.checkpoint
    )
    save_tensors(snakemake.output.trace, trace, job.stamp())
