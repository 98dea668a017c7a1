"""Tune the data set's prior by the minimax criteria."""

from job import open_prior, prior_contents, running

from lgd_core.base.files import atomic, read_json, write_json
from lgd_core.config.models.method import FinetuneConfig
from lgd_core.diffusion.finetuning import tune_prior
from lgd_core.diffusion.prior_training import save_prior
from lgd_core.distill.context import prior_labels

with running(snakemake) as job:
    settings, output = job.settings, snakemake.output
    recipe = job.read("finetune", FinetuneConfig)
    images, labels = job.real_images(snakemake.input[0]).split("originals")
    prior = open_prior(job)
    told = prior_labels(settings["prior_labels"], settings["classes"])
    result = tune_prior(prior, images, labels, told, settings["flip"], recipe, job.checkpoint)
    job.log(f"{result['parameters']} parameters tuned, last loss {result['loss']:.4f}")
    with atomic(output.folder) as temporary:
        save_prior(
            str(temporary),
            prior.transformer,
            prior.autoencoder,
            settings["names"],
            dtype=None,  # small changes would be lost in half precision
            scheduler=prior.scheduler_config,
        )
    folders = {"pipeline": output.folder}
    found = {
        "folders": folders,
        "frequency_shift": read_json(snakemake.input.prior)["frequency_shift"],
        "contents": prior_contents(folders),
    }
    write_json(output.facts, job.stamp(**found, **result))
