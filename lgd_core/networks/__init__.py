"""Classifiers: architectures, how they are trained, augmentation, features."""
