"""Diffusion priors: sampling, guidance, training and fine-tuning."""
