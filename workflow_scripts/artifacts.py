"""What a job that makes increments reads beside the prior."""

from pathlib import Path
from typing import Any

from job import Job

from lgd_core.base.tensors import load_tensors
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increment
from lgd_core.distill.candidates import stack_memory
from lgd_core.distill.influence import load_influence
from lgd_core.distill.modes import load_modes
from lgd_core.distill.selection import Artifacts, Scorer
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import preprocessor


def load_artifacts(job: Job) -> Artifacts:
    """Load whatever the job's rule has listed among its inputs."""
    method, inputs = job.settings["method"], job.snakemake.input
    seen = job.read("network", SeenImages)
    scorer = memory = real = influence = reference = modes = None
    preprocess, expected = preprocessor(seen).to(job.device), seen.network_input
    job.origins["networks"] = _networks(inputs)
    if inputs.get("reference"):
        reference = load_network(inputs.reference, job.device, expected)
    if inputs.get("learner"):
        scorer = Scorer(
            load_network(inputs.learner, job.device, expected),
            reference,
            preprocess,
            method["reference_weight"],
        )
    if inputs.get("memory"):
        size = method["ipc_per_increment"]
        increments = [load_increment(path, seen, size)[0] for path in inputs.memory]
        memory = stack_memory(increments, len(seen.classes))
    if inputs.get("real"):
        real = Path(inputs.real[0]).parent
    if inputs.get("influence"):
        influence = load_influence(inputs.influence, preprocess, job.device, expected)
    if inputs.get("modes"):
        modes = load_modes(inputs.modes, len(seen.classes))
    return Artifacts(scorer, memory, real, influence, reference, modes)


def _networks(inputs: Any) -> dict[str, dict[str, Any]]:
    """Return the recipes and fingerprints of the networks that judge what is drawn."""
    stamps = {
        name: load_tensors(inputs[name])[1]
        for name in ("learner", "reference", "influence")
        if inputs.get(name)
    }
    return {
        name: {"recipe": stamp["recipe"][name], "fingerprint": stamp["fingerprint"]}
        for name, stamp in stamps.items()
    }
