"""Find or download the files of a small decoder; check that it fits the data set and its prior."""

from pathlib import Path

from job import prior_contents, running

from lgd_core.base.files import read_json, write_json
from lgd_core.config.prior_files import AUTOENCODER_FILES, check_small_decoder
from lgd_core.data.hub import locate

with running(snakemake) as job:
    settings = job.settings
    folder = locate(settings["source"], settings["revision"], AUTOENCODER_FILES)
    prior = read_json(snakemake.input.prior)["folders"]
    autoencoder = Path(prior.get("vae", Path(prior["pipeline"]) / "vae"))
    check_small_decoder(folder, settings["channels"], autoencoder)
    job.log(f"small decoder in {folder}")
    facts = {"folder": str(folder), "contents": prior_contents({"small_decoder": str(folder)})}
    write_json(snakemake.output.facts, job.stamp(**facts))
