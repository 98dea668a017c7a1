"""One module per guidance; see config.kinds.GuidanceKind."""
