"""Write the accuracy table as a page, which the report shows where it would download a CSV."""

from pathlib import Path

from job import running

from lgd_core.runtime import atomic, read_json
from lgd_core.summary import table_page
from lgd_core.tables import read_csv

with running(snakemake) as job:
    title = f"Top-1 accuracy, {snakemake.wildcards.dataset}, {snakemake.wildcards.ipc} per class"
    path = Path(snakemake.input.table)
    page = table_page(title, read_csv(path, read_json(path.with_suffix(".json"))))
    with atomic(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
