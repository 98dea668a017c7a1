"""General tools: errors, seeds, files, checkpoints, devices, leases, progress."""
