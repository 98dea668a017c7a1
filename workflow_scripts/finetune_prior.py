"""Tune the data set's prior by the minimax criteria for the classes of one phase."""

from job import open_prior, running

from lgd_core.base.tensors import save_tensors
from lgd_core.config.models.method import FinetuneConfig
from lgd_core.diffusion.finetuning import PhaseClasses, tune_prior
from lgd_core.diffusion.phases import changed_rows, trained_values

with running(snakemake) as job:
    settings, recipe = job.settings, job.read("finetune", FinetuneConfig)
    number = int(snakemake.wildcards.phase)
    phase = PhaseClasses(number, settings["labels"], settings["prior_labels"])
    images, labels = job.real_images(snakemake.input[0]).split("originals")
    prior = open_prior(job)
    before = trained_values(prior.transformer, recipe.trained)
    result = tune_prior(prior, images, labels, phase, settings["flip"], recipe, job.checkpoint)
    job.log(f"{result['parameters']} parameters tuned, last loss {result['loss']:.4f}")
    after = trained_values(prior.transformer, recipe.trained)
    stamp = job.stamp(**result)
    save_tensors(snakemake.output.phase, changed_rows(before, after), stamp)
