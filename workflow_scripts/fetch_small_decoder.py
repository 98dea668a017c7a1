"""Find or download the files of a small decoder; check that it fits the data set and its prior."""

from pathlib import Path

from job import prior_contents, running

from lgd_core.base.files import read_json, write_json
from lgd_core.config.prior_files import AUTOENCODER_FILES, check_small_decoder
from lgd_core.data.hub import locate

with running(snakemake) as job:
    settings = job.settings
    source = settings["source"]
    place = job.place_of(source)
    folder = str(locate(place, settings["revision"], AUTOENCODER_FILES))
    prior = read_json(snakemake.input.prior)["folders"]
    pipeline = Path(job.place_of(prior["pipeline"]))
    autoencoder = Path(prior.get("vae", pipeline / "vae"))
    check_small_decoder(Path(folder), settings["channels"], autoencoder)
    job.log(f"small decoder in {folder}")
    contents = prior_contents({"small_decoder": folder})
    facts = {"folder": source if folder == place else folder, "contents": contents}
    write_json(snakemake.output.facts, job.stamp(**facts))
