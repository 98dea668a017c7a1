"""Compare a distilled set with as many real training images, in the reference's features."""

from job import running

from lgd_core.analysis.fidelity import check_counts, real_rows, sample_quality
from lgd_core.base.files import write_json
from lgd_core.base.seeding import derive_seed
from lgd_core.config.settings import SeenImages
from lgd_core.data.distilled import load_increments
from lgd_core.networks.classifiers import load_network
from lgd_core.networks.training import Images

with running(snakemake) as job:
    seen = job.read("network", SeenImages)
    data = Images.of_parts(job.device, load_increments(snakemake.input.increments, seen), seen)
    images, labels = job.real_images(snakemake.input[0]).split("train")
    # Another shuffle than that of the method `random`, so that it is compared with other images.
    seed = derive_seed("fidelity", int(snakemake.wildcards.seed))
    rows = real_rows(labels, seen.classes, len(data.labels) // seen.classes, seed)
    counts = {"distilled": len(data.labels), "real": len(rows)}
    check_counts(snakemake.output.metrics, counts, "make a larger set")
    network = load_network(snakemake.input.reference, job.device, seen.network_input)
    real = Images.on(job.device, images[rows], labels[rows], seen)
    quality = sample_quality(network, data, real)
    write_json(snakemake.output.metrics, job.stamp(quality=quality, images=counts))
