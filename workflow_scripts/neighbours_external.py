"""Find the real training images nearest to a folder's images, and its near-duplicates."""

from pathlib import Path

from job import running

from lgd_core.analysis.neighbours import near_duplicates, neighbours_table
from lgd_core.base.csv_files import read_csv, write_csv
from lgd_core.base.digests import file_digests
from lgd_core.base.files import read_json, write_json
from lgd_core.config.settings import SeenImages
from lgd_core.data.real_images import load_set
from lgd_core.networks.classifiers import load_network

with running(snakemake) as job:
    seen, own = job.read("network", SeenImages), Path(snakemake.input.images).parent
    neighbours, threshold = neighbours_table(
        read_csv(snakemake.input.table, read_json(snakemake.input.record)),
        load_set(own)[0],
        job.real_images(snakemake.input[0]).split("train"),
        load_network(snakemake.input.reference[0], job.device, seen.network_input),
        seen,
        job.settings["names"],
        job.device,
    )
    write_csv(neighbours, snakemake.output.neighbours)
    write_csv(near_duplicates(neighbours, threshold), snakemake.output.duplicates)
    files = file_digests([snakemake.output.neighbours, snakemake.output.duplicates])
    write_json(snakemake.output.facts, job.stamp(threshold=threshold, files=files))
