"""Measure a prior."""

from pathlib import Path

from job import open_prior, running

from lgd_core.data import load_split, real_increment
from lgd_core.errors import UserError
from lgd_core.figures import sample_grids, save_figure
from lgd_core.learners import load_network
from lgd_core.prior_quality import draw_samples, reconstruction_psnr, sample_quality
from lgd_core.runtime import write_json
from lgd_core.training import Images, network_input

PER_CLASS = 100

with running(snakemake) as job:
    facts = job.hp["network"]
    dataset = facts | {"prior_labels": job.hp["prior_labels"]}
    folder = Path(snakemake.input[0]).parent
    network = load_network(snakemake.input.reference, job.device, network_input(facts))
    prior = open_prior(job)
    real = Images.on(job.device, *load_split(folder, "validation"), facts)
    quality = {"psnr": reconstruction_psnr(prior, real.images)}
    if not len(real.labels):
        raise UserError(
            "source.validation_fraction: found 0, expected some to compare samples with"
        )
    images, labels = load_split(folder, "train")
    rows = real_increment(labels, len(facts["classes"]), PER_CLASS, 0, 0).flatten()
    train = Images.on(job.device, images[rows], labels[rows], facts)
    quality["real training images"] = sample_quality(network, train, real)
    for scale in sorted({1.0, job.hp["sampler"]["cfg_scale"]}):
        sampler = job.hp["sampler"] | {"cfg_scale": scale}
        resume = job.resume.scope(f"cfg{scale:g}")
        drawn = draw_samples(prior, dataset, sampler, PER_CLASS, resume)
        data = Images.on(job.device, drawn["images"], drawn["labels"], facts)
        quality[f"samples at CFG {scale:g}"] = sample_quality(network, data, real)
        job.log(f"CFG {scale:g}: {quality[f'samples at CFG {scale:g}']}")
    write_json(snakemake.output.metrics, job.stamp(quality=quality))
    shown = drawn["images"].unflatten(0, (len(facts["classes"]), PER_CLASS))[:, None, :20]
    figure = sample_grids({f"CFG {scale:g}": shown}, facts["classes"])
    save_figure(figure, snakemake.output.grid, 150, {"Description": job.fingerprint})
