"""One module per way to train and test a student; see config.protocols.Protocol."""
