"""Measure a prior."""

from pathlib import Path

from job import open_prior, running

from lgd_core.analysis.fidelity import check_counts, sample_quality
from lgd_core.analysis.prior_quality import draw_samples, real_samples, reconstruction_psnr
from lgd_core.base.files import write_json
from lgd_core.config.models.method import SamplerConfig
from lgd_core.config.settings import SeenImages
from lgd_core.data.real_images import load_split
from lgd_core.figures.making import save_figure
from lgd_core.figures.samples import sample_grids
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images

with running(snakemake) as job:
    seen, sampler = job.read("network", SeenImages), job.read("sampler", SamplerConfig)
    folder = Path(snakemake.input[0]).parent
    held_out = load_split(folder, "validation")
    training = job.real_images(snakemake.input[0]).split("train")
    images, labels = real_samples(*training, seen.classes)
    counts = {"held-out": len(held_out[1]), "training": len(labels)}
    check_counts("prior_quality.json", counts, "see source.validation_fraction")
    network = load_network(snakemake.input.reference, job.device, seen.network_input)
    prior = open_prior(job)
    real = Images.on(job.device, *held_out, seen)
    quality = {"psnr": reconstruction_psnr(prior, real.images)}
    per_class = len(labels) // seen.classes
    train = Images.on(job.device, images, labels, seen)
    quality["real training images"] = sample_quality(network, train, real)
    for scale in sorted({1.0, sampler.cfg_scale}):
        drawn = draw_samples(
            prior,
            seen,
            job.settings["prior_labels"],
            sampler.model_copy(update={"cfg_scale": scale}),
            per_class,
            job.checkpoint.part(f"cfg{scale:g}"),
        )
        data = Images.on(job.device, drawn["images"], drawn["labels"], seen)
        quality[f"samples at CFG {scale:g}"] = sample_quality(network, data, real)
        job.log(f"CFG {scale:g}: {quality[f'samples at CFG {scale:g}']}")
    write_json(snakemake.output.metrics, job.stamp(quality=quality, images_per_class=per_class))
    shown = drawn["images"].unflatten(0, (seen.classes, per_class))[:, None, :20]
    names = job.settings["names"]
    figure = sample_grids({f"CFG {scale:g}": shown}, names, len(names))
    save_figure(figure, snakemake.output.grid, 150, {"Description": job.fingerprint})
