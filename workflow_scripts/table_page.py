"""Write the accuracy table as a page, which the report shows where it would download a CSV."""

import pandas as pd
from job import running

from lgd_core.runtime import atomic
from lgd_core.summary import table_page

with running(snakemake) as job:
    title = f"Top-1 accuracy, {snakemake.wildcards.dataset}, {snakemake.wildcards.ipc} per class"
    page = table_page(title, pd.read_csv(snakemake.input.table))
    with atomic(snakemake.output.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
