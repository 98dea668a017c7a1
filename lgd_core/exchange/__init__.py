"""Distilled sets that leave for other programs, and sets that come from them."""
