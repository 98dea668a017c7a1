"""Make increment 0."""

import shutil

from job import running

from lgd_core.base.files import atomic
from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import ChoiceSettings, ClassNames, SeedSettings, SeenImages
from lgd_core.data.distilled import load_increment

with running(snakemake) as job:
    seen, settings = job.read("network", SeenImages), job.read("method", SeedSettings)
    ipc = settings.ipc_per_increment
    if shared := snakemake.input.get("shared"):
        load_increment(shared, seen, ipc)
        with atomic(snakemake.output.increment) as temporary:
            shutil.copyfile(shared, temporary)
    else:
        from artifacts import source_context

        from lgd_core.base.listings import Reading
        from lgd_core.config.external import list_seed
        from lgd_core.distill.increments import draw_seed
        from lgd_core.distill.selection import build_increment, choose

        folder, where = snakemake.params.folder, f"method '{snakemake.wildcards.method}'"
        labels = list(range(seen.classes))
        names = job.read("names", ClassNames) if folder else None
        reading = Reading(list_seed(folder, names, ipc, where) if names else None)
        context = source_context(job, settings, ipc, 0, labels)
        candidates = draw_seed(context, folder, names)
        chosen = choose(settings.choice or ChoiceSettings(), candidates)
        increment = build_increment(candidates, labels, chosen)
        reading.note(snakemake.params.images, job.settings, snakemake.params.record)
        stamp = job.stamp(formation=settings.draw.factor if settings.draw else 1)
        save_tensors(snakemake.output.increment, increment, stamp)
