"""What knows nothing of the field: errors, seeds, files, checkpoints, devices, leases, progress."""
