"""Learnability-guided dataset distillation: from real images and a prior to tables and figures."""

from snakemake.utils import min_version

min_version("9.0")


# ---- Configuration: read, checked and completed before anything else happens ----
include: "rules/common.smk"
# ---- Stages, in reading order ----
include: "rules/data.smk"
include: "rules/reference.smk"
include: "rules/influence.smk"
include: "rules/prior.smk"
include: "rules/increment.smk"
include: "rules/evaluate.smk"
include: "rules/analyse.smk"
include: "rules/measure.smk"
include: "rules/figures.smk"
include: "rules/pages.smk"
include: "rules/external.smk"
include: "rules/export.smk"


# ---- Said once, before the first job; neither dry runs nor jobs on other machines come here ----
onstart:
    if config["device"] == "auto" and not GPU:
        print(f"device: {why_no_gpu()}, all jobs run on the CPU", file=sys.stderr)
    watch(
        [rule.name for rule in workflow.rules],
        [job.rule.name for job in workflow.dag.needrun_jobs()],
        apart=workflow.non_local_exec,
    )


# ---- Target, and what the report opens with ----
report: "report/workflow.rst"


rule all:
    """Tables and figures of every configured data set and number of images per class."""
    default_target: ARE_FIRST
    input:
        expand(
            "results/{dataset}_ipc{ipc}{name}/{artifact}",
            dataset=config["datasets"],
            ipc=config["ipc"],
            name=named(),
            artifact=[
                "table.csv",
                "redundancy.png",
                "curve.png",
                "samples.png",
                "table.html",
                "gallery.html",
            ],
        ),
