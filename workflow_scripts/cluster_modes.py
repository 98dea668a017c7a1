"""Find the modes of every class's real latents."""

from pathlib import Path

from job import running

from lgd_core.base.tensors import save_tensors
from lgd_core.data.real_images import load_labels
from lgd_core.distill.modes import class_modes, load_latents

with running(snakemake) as job:
    recipe, seed = job.settings["modes"], int(snakemake.wildcards.seed)
    labels = load_labels(Path(snakemake.input[0]).parent, "originals")
    latents = load_latents(snakemake.input.latents, snakemake.input.record, len(labels))
    key = (seed, recipe["increment"])
    modes = class_modes(
        latents, labels, job.settings["classes"], recipe["clusters"], key, job.checkpoint
    )
    for label, sizes in enumerate(modes["sizes"].tolist()):
        job.log(f"class {label}: {min(sizes)} to {max(sizes)} images per cluster")
    save_tensors(snakemake.output.modes, modes, job.stamp())
