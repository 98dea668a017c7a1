"""What a job that makes increments reads beside the prior."""

from pathlib import Path

from job import Job

from lgd_core.candidates import memory_of
from lgd_core.distilled import load_tensors
from lgd_core.influence import load_influence
from lgd_core.learners import load_network
from lgd_core.selection import Materials, Scorer
from lgd_core.training import preprocessor


def materials_of(job: Job) -> Materials:
    """Load whatever the job's rule has listed among its inputs."""
    method, facts, inputs = job.hp["method"], job.hp["network"], job.snakemake.input
    scorer = memory = real = influence = reference = modes = None
    preprocess = preprocessor(facts).to(job.device)
    if inputs.get("reference"):
        reference = load_network(inputs.reference, job.device)
    if inputs.get("learner"):
        scorer = Scorer(
            load_network(inputs.learner, job.device),
            reference,
            preprocess,
            method["learnability"]["reference_weight"],
        )
    if inputs.get("memory"):
        increments = [load_tensors(path)[0] for path in inputs.memory]
        memory = memory_of(increments, len(facts["classes"]))
    if inputs.get("real"):
        real = Path(inputs.real[0]).parent
    if inputs.get("influence"):
        influence = load_influence(inputs.influence, preprocess, job.device)
    if inputs.get("modes"):
        modes = load_tensors(inputs.modes)[0]["centres"]
    return Materials(scorer, memory, real, influence, reference, modes)
