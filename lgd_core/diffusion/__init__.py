"""Priors and how they are sampled, guided, trained and tuned."""
