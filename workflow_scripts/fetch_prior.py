"""Find or download the prior's files, and check that they fit the data set."""

from pathlib import Path

from job import prior_contents, running

from lgd_core.base.files import write_json
from lgd_core.config.prior_files import check_contents
from lgd_core.config.settings import StoredImages
from lgd_core.data.hub import locate_prior

with running(snakemake) as job:
    settings = job.settings
    source = settings["prior"]["source"]
    place = job.place_of(source)
    folders = locate_prior(**settings["prior"] | {"source": place})
    pipeline = Path(folders["pipeline"])
    autoencoder = Path(folders.get("vae", pipeline / "vae"))
    stored, labels = job.pick(StoredImages), settings["labels"]
    names = settings["names"] or list(map(str, labels))
    check_contents(pipeline, autoencoder, stored.image, names, labels)
    job.log(f"prior in {', '.join(folders.values())}")
    facts = {
        "folders": {name: source if path == place else path for name, path in folders.items()},
        "frequency_shift": settings["frequency_shift"],
        "contents": prior_contents(folders),
    }
    write_json(snakemake.output.facts, job.stamp(**facts))
