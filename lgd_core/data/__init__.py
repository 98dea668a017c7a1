"""Real images from every source, arrays, and distilled sets on disk."""
