"""Figures, pages and the printed table. No other package imports matplotlib."""
