"""Redraw a few positions of an increment, guided and unguided, and watch every step."""

from job import open_prior, running
from materials import materials_of

from lgd_core.analysis.traces import trace_guidance
from lgd_core.base.tensors import save_tensors
from lgd_core.distill.increments import guided_task

with running(snakemake) as job:
    facts, wildcards = job.settings["network"], snakemake.wildcards
    task = guided_task(
        facts | {"prior_labels": job.settings["prior_labels"]},
        job.settings["method"],
        list(range(len(facts["classes"]))),
        (int(wildcards.seed), int(wildcards.k)),
    )
    trace = trace_guidance(
        open_prior(job), materials_of(job), task, job.settings["positions"], job.resume
    )
    save_tensors(snakemake.output.trace, trace, job.stamp())
