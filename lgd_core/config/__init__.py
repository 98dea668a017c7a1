"""All configuration: read, checked and completed before any job starts. Free of PyTorch."""
