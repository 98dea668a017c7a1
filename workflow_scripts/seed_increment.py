"""Make increment 0."""

import shutil

from job import open_prior, running

from lgd_core.base.files import atomic
from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increment

with running(snakemake) as job:
    facts = job.settings["network"]
    if shared := snakemake.input.get("shared"):
        seen = job.read("network", SeenImages)
        load_increment(shared, seen, job.settings["method"]["ipc_per_increment"])
        with atomic(snakemake.output.increment) as temporary:
            shutil.copyfile(shared, temporary)
    else:
        from artifacts import load_artifacts

        from lgd_core.base.listings import Reading
        from lgd_core.config.external import list_seed
        from lgd_core.config.methods import formation
        from lgd_core.distill.candidates import build_increment
        from lgd_core.distill.increments import draw_seed

        method, folder = job.settings["method"], snakemake.params.folder
        where, count = f"method '{snakemake.wildcards.method}'", method["ipc_per_increment"]
        reading = Reading(folder and list_seed(folder, facts, count, where))
        candidates = draw_seed(
            open_prior(job),
            load_artifacts(job),
            facts | {"prior_labels": job.settings["prior_labels"]},
            method | {"seed": method["seed"] | {"folder": folder}},
            int(snakemake.wildcards.seed),
            job.checkpoint,
        )
        increment = build_increment(candidates, list(range(len(facts["classes"]))))
        reading.note(snakemake.params.images, job.settings, snakemake.params.record)
        stamp = job.stamp(formation=formation(method))
        save_tensors(snakemake.output.increment, increment, stamp)
