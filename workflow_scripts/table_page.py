"""Write the accuracy table as a page, since the report shows pages but only downloads CSV."""

from job import running

from lgd_core.base.csv_files import read_csv
from lgd_core.base.files import atomic, read_json
from lgd_core.figures.summary import table_page

with running(snakemake) as job:
    title = f"Top-1 accuracy, {snakemake.wildcards.dataset}, {snakemake.wildcards.ipc} per class"
    table = read_csv(snakemake.input.table, read_json(snakemake.input.record))
    page = table_page(title, table)
    with atomic(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
