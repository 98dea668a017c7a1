"""Keep the chosen candidates of all positions, over all shards."""

from job import running

from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import ChoiceSettings, DrawSettings, StoredImages
from lgd_core.distill.selection import drawn_by, select_shards

with running(snakemake) as job:
    stored = job.pick(StoredImages)
    choice = job.read("choice", ChoiceSettings) if "choice" in job.settings else None
    increment, stamps = select_shards(snakemake.input, stored, choice)
    factor = DrawSettings.model_validate(stamps[0]["recipe"]["method"]).factor
    stamp = job.stamp(drawn=drawn_by(stamps), formation=factor)
    save_tensors(snakemake.output.increment, increment, stamp)
