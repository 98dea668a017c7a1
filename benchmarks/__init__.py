"""Benchmarks: each measures the project beside the plain way, see README.md here."""
