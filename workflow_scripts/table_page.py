"""Write the accuracy table as a page, since the report shows pages but only downloads CSV."""

from pathlib import Path

from job import running

from lgd_core.analysis.tables import REDUNDANCY_COLUMNS
from lgd_core.base.csv_files import parse_csv, read_csv
from lgd_core.base.files import atomic, read_json
from lgd_core.figures.results import results_of
from lgd_core.figures.table_page import strip, table_page

with running(snakemake) as job:
    table = read_csv(snakemake.input.table, read_json(snakemake.input.record))
    redundancy = parse_csv(snakemake.input.redundancy, REDUNDANCY_COLUMNS)
    strips: dict[str, str] = {}
    for folder in snakemake.input.sets:
        method = Path(folder).parts[-4]
        strips[method] = strips.get(method) or strip(folder)
    page = table_page(
        "{dataset}, {ipc} images per class: accuracy".format(**snakemake.wildcards),
        table,
        results_of(table, redundancy, job.settings["descriptions"]),
        [read_json(path) for path in snakemake.input.runs],
        strips,
    )
    with atomic(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
