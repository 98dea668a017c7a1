"""Find the modes of every class's real latents."""

from pathlib import Path

from job import running

from lgd_core.data import load_split
from lgd_core.distilled import load_tensors, save_tensors
from lgd_core.modes import class_modes

with running(snakemake) as job:
    recipe, seed = job.hp["modes"], int(snakemake.wildcards.seed)
    _, labels = load_split(Path(snakemake.input[0]).parent, "originals")
    latents = load_tensors(snakemake.input.latents)[0]["latents"]
    key = (seed, recipe["increment"])
    modes = class_modes(latents, labels, job.hp["classes"], recipe["clusters"], key)
    for label, sizes in enumerate(modes["sizes"].tolist()):
        job.log(f"class {label}: {min(sizes)} to {max(sizes)} images per cluster")
    save_tensors(snakemake.output.modes, modes, job.stamp())
