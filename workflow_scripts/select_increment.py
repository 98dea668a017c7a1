"""Keep the best candidate of every position, over all shards."""

from job import running

from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import DrawSettings, StoredImages
from lgd_core.distill.candidates import drawn_by, select_shards

with running(snakemake) as job:
    stored = job.pick(StoredImages)
    increment, stamps = select_shards(snakemake.input, stored)
    factor = DrawSettings.model_validate(stamps[0]["recipe"]["method"]).factor
    stamp = job.stamp(drawn=drawn_by(stamps), formation=factor)
    save_tensors(snakemake.output.increment, increment, stamp)
