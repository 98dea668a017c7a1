"""Find or download the files of a small decoder, and check that it fits the data set."""

from job import prior_contents, running

from lgd_core.base.files import write_json
from lgd_core.config.prior_files import AUTOENCODER_FILES, check_small_decoder
from lgd_core.diffusion.hub import locate

with running(snakemake) as job:
    settings = job.settings
    folder = locate(settings["source"], settings["revision"], AUTOENCODER_FILES)
    check_small_decoder(folder, settings["channels"])
    job.log(f"small decoder in {folder}")
    facts = {"folder": str(folder), "contents": prior_contents({"small_decoder": str(folder)})}
    write_json(snakemake.output.facts, job.stamp(**facts))
