"""Redraw a few positions of an increment, guided and unguided, and measure every step."""

from dataclasses import replace

from artifacts import source_context
from job import running

from lgd_core.analysis.traces import trace_guidance
from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import DrawSettings
from lgd_core.distill.sources.prior import guided_increment

with running(snakemake) as job:
    settings, increment = job.read("method", DrawSettings), int(snakemake.wildcards.k)
    labels = list(range(job.settings["network"]["classes"]))
    ipc, weight = settings.ipc_per_increment, settings.reference_weight
    context = source_context(job, settings, ipc, increment, labels, weight)
    spec = guided_increment(replace(context, settings=settings.keys))
    positions = job.settings["positions"]
    trace = trace_guidance(context.prior, context.artifacts, spec, positions, job.checkpoint)
    save_tensors(snakemake.output.trace, trace, job.stamp())
