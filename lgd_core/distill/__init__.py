"""How an increment is made: guidances, sources of images, selection."""
