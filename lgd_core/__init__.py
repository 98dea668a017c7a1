"""Learnability-guided dataset distillation: the library behind the workflow.

Modules are the nouns of the field (guidance, sampler, selection, learners, ...). None of them
knows Snakemake, the configuration files or where results are kept.
"""

__version__ = "0.1.0"
