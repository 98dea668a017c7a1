"""Train students of one arm on a set, or on several, at the best of several learning rates."""

from functools import lru_cache
from pathlib import Path

from job import paths_of, running
from lessons import taught

from lgd_core.base.files import write_json
from lgd_core.config.settings import SeenImages, StudentSettings
from lgd_core.data.distilled import load_increments
from lgd_core.evaluation.rounds import train_rounds
from lgd_core.evaluation.students import Lesson

with running(snakemake) as job:
    seen, recipe = job.read("network", SeenImages), job.read("lesson", StudentSettings)
    increments, size = paths_of(snakemake.input.increments), int(snakemake.wildcards.k) + 1
    labels = paths_of(snakemake.input.get("soft_labels", []))

    # Rounds that learn the same set one after another read it once.
    @lru_cache(maxsize=1)
    def lesson_of(number: int) -> Lesson:
        stored = load_increments(increments[number * size : (number + 1) * size], seen)
        real = Path(snakemake.input[0]).parent
        return taught(job, stored, recipe, real, ("score",), labels[number] if labels else None)

    found = train_rounds(
        lesson_of, len(increments) // size, job.settings["rates"], job.settings["rounds"]
    )
    write_json(snakemake.output.rounds, job.stamp(**found))
