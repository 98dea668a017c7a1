"""One module per source of images; see config.kinds.ImageSource."""
