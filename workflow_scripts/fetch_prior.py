"""Find the prior's files, or download them."""

from job import prior_contents, running

from lgd_core.hub import locate_prior
from lgd_core.prior_files import check_classes
from lgd_core.runtime import write_json

with running(snakemake) as job:
    folders = locate_prior(**job.hp["prior"])
    where = f"prior '{job.hp['prior']['source']}'"
    check_classes(folders["pipeline"], job.hp["labels"], job.hp["classes"], where)
    job.log(f"prior in {', '.join(folders.values())}")
    facts = {
        "folders": folders,
        "frequency_shift": job.hp["frequency_shift"],
        "contents": prior_contents(folders),
    }
    write_json(snakemake.output.facts, job.stamp(**facts))
