"""Every key of the configuration: type, default, bounds, meaning, and what must agree with it."""
