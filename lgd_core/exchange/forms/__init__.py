"""The forms in which sets are exchanged, one module each, known by its name."""
