"""Learnability-guided dataset distillation: the library behind the workflow.

Packages import each other in one direction only: see README.md beside this file. None of them
knows Snakemake or where results are kept.
"""

__version__ = "0.1.0"
