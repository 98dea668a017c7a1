"""All drawing: figures, pages and the printed table. The only place for matplotlib."""
