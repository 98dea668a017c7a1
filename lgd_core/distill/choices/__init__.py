"""One module per rule that chooses images among candidates; see config.kinds.ChoiceKind."""
