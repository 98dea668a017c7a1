"""Reads the inputs of jobs that make increments."""

from typing import Any

from job import Job, open_prior, open_small_decoder, paths_of

from lgd_core.base.tensors import load_tensors
from lgd_core.config.settings import SeenImages
from lgd_core.distill.artifacts import Artifacts, Scorer
from lgd_core.distill.context import Keys, SourceContext, prior_labels
from lgd_core.distill.influence import load_influence
from lgd_core.distill.modes import load_modes
from lgd_core.distill.selection import load_memory
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import preprocessor


def source_context(
    job: Job,
    settings: Keys,
    ipc: int,
    increment: int,
    labels: list[int],
    reference_weight: float | None = None,
) -> SourceContext[Keys]:
    """Return the inputs of the classes ``labels`` of an increment.

    ``settings`` are those of the method that the job depends on, ``ipc`` the images per class.
    ``reference_weight`` is the reference's weight in the score, None if nothing is scored.
    """
    seen = job.read("network", SeenImages)
    return SourceContext(
        prior=open_prior(job),
        artifacts=load_artifacts(job, seen, ipc, labels, reference_weight),
        seen=seen,
        prior_labels=prior_labels(job.settings["prior_labels"], seen.classes),
        settings=settings,
        ipc=ipc,
        labels=labels,
        key=(int(job.snakemake.wildcards.seed), increment),
        checkpoint=job.checkpoint,
    )


def load_artifacts(
    job: Job, seen: SeenImages, ipc: int, labels: list[int], reference_weight: float | None
) -> Artifacts:
    """Load the artifacts among the inputs of the job's rule; arguments as in source_context."""
    inputs = job.snakemake.input
    scorer = memory = real = influence = reference = modes = mode_sizes = None
    preprocess, expected = preprocessor(seen).to(job.device), seen.network_input
    job.origins["networks"] = _networks(inputs)
    if inputs.get("reference"):
        reference = load_network(inputs.reference, job.device, expected)
    if inputs.get("learner") and reference_weight is not None:
        scorer = Scorer(
            load_network(inputs.learner, job.device, expected),
            reference,
            preprocess,
            reference_weight,
        )
    if inputs.get("memory"):
        memory = load_memory(inputs.memory, seen, ipc, labels)
    if inputs.get("originals"):
        real = job.real_images(inputs.originals[0])
    if inputs.get("influence"):
        influence = load_influence(inputs.influence, preprocess, job.device, expected, labels)
    if inputs.get("modes"):
        modes, mode_sizes = load_modes(inputs.modes, seen.classes)
    small_decoder = open_small_decoder(job) if inputs.get("small_decoder") else None
    files = {name: paths_of(path) for name, path in inputs.items()}
    return Artifacts(
        scorer,
        memory,
        real,
        influence,
        reference,
        modes,
        mode_sizes,
        preprocess,
        small_decoder,
        files,
    )


def _networks(inputs: Any) -> dict[str, dict[str, Any]]:
    """Return the recipes and fingerprints of the networks that guide or score images."""
    stamps = {
        name: load_tensors(inputs[name])[1]
        for name in ("learner", "reference", "influence")
        if inputs.get(name)
    }
    return {
        name: {"recipe": stamp["recipe"][name], "fingerprint": stamp["fingerprint"]}
        for name, stamp in stamps.items()
    }
