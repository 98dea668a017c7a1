"""The error that a person can act on."""


class UserError(ValueError):
    """Wrong input: one line that names the file or key, what was found and what was expected."""
